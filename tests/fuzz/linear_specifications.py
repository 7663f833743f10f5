"""Random specifications of the linear system, with every option."""

import numpy as np

from tests.fuzz.numbers import Numbers

SMOOTH = ("tanh(x)", "erf(x)", "x/sqrt(1 + x**2)", "Max(-1, Min(1, x))", "x + x**3/10", "atan(2*x)")
"""Odd increasing maps."""
OTHER_SMOOTH = ("Max(x, 0)", "x**2/2", "sin(2*x)", "x*exp(-x**2)", "exp(x)")
"""Maps that are not odd, or not increasing, or grow fast."""
SCHEDULES = (
    "0.5/(1 + tau)",
    "0.3*exp(-tau/4)",
    "Piecewise((0.6, tau < 1), (0.1, True))",
    "0.2*(1 + sin(2*tau)/2)",
    "0.4 - tau",
    "1/tau",
)
"""The last two are not positive and finite at every time."""


def linear_table(numbers: Numbers) -> dict:
    """A linear model as a nested dictionary."""
    n = numbers
    table = {
        "weight_quantizer": _weight_map(n),
        "input_quantizer": _input_map(n),
        "teacher": _law(n, 1.0, atomic=3.0),
        "init": _law(n, 0.8, atomic=1.0),
        "learning_rate": _rate(n),
        "noise": 0.0 if n.chance(0.25) else n.positive(0.03, 1.0),
        "batch_size": n.integer(1, 4) if n.chance(0.4) else 1,
    }
    if n.chance(0.25):
        table["weight_decay"] = n.positive(0.01, 0.5)
    if n.chance(0.12):
        table["surrogate"] = {"type": "ClippedSurrogate", "bound": n.positive(0.5, 3.0)}
        if n.chance(0.3):
            table["surrogate"]["lower"] = -n.positive(0.5, 3.0)
    rule = n.weighted(STE=0.8, FOGZO=0.12, SPSA=0.08)
    if rule == "STE" or n.chance(0.1):
        table |= _around(n)
    if rule == "FOGZO":
        eps, c = n.positive(0.1, 1.0), n.real(0.0, 4.0)
        table["update_rule"] = {"type": "FOGZO", "c": c, "eps": eps, "n": n.integer(1, 3), "directions": _directions(n)}
    if rule == "SPSA":
        ratio, eps = n.positive(0.05, 0.4), n.positive(0.2, 1.0)
        table["update_rule"] = {"type": "SPSA", "ratio": ratio, "eps": eps, "directions": _directions(n)}
    _place_target(n, table)
    table = _scaled(n, table)
    # last, so that what a seed drew before has stayed
    return table | (_training(n) if "update_rule" not in table and "surrogate" not in table else {})


def _training(n: Numbers) -> dict:
    """How the weights are trained: another rule, a pull, a range that moves, or several kinds of them."""
    kind = n.weighted(
        sgd=6, Momentum=1, KineticMomentum=1, SignSGD=1, Adam=1, dampening=1, range=1, smooth=0.5, groups=2
    )
    if kind == "Momentum":
        return {"update_rule": {"type": kind, "beta": n.real(0.1, 0.8), "nesterov": n.chance(0.5)}}
    if kind == "KineticMomentum":
        return {"update_rule": {"type": kind, "friction": n.positive(0.5, 5.0)}}
    if kind == "SignSGD":
        return {"update_rule": {"type": kind}}
    if kind == "Adam":
        return {"update_rule": {"type": kind, "beta_1": n.real(0.0, 0.9), "second_moment_rate": n.positive(0.5, 5.0)}}
    if kind == "dampening":
        return {"dampening": n.positive(0.05, 2.0)}
    if kind == "range":
        learned = {"type": "LearnedRange", "rate": n.positive(0.02, 0.3), "gradient": n.choice("lsq", "pact")}
        return {"range_rule": learned if n.chance(0.6) else {"type": "FollowingRange"}}
    if kind == "smooth":
        return {"surrogate": {"type": "DerivativeOf", "proxy": {"type": "Elementwise", "expression": "2*tanh(x/2)"}}}
    return {"groups": _groups(n)} if kind == "groups" else {}


def _groups(n: Numbers) -> list[dict]:
    """Two or three kinds of coordinates."""
    shares = n.choice([0.5, 0.5], [0.25, 0.75], [0.5, 0.25, 0.25])
    tables = []
    for share in shares:
        table = {"share": share}
        if n.chance(0.7):
            table["teacher"] = _law(n, 1.0, atomic=3.0)
        if n.chance(0.7):
            table["weight_quantizer"] = grid(n)
        if n.chance(0.2):
            table["surrogate"] = {"type": "ClippedSurrogate", "bound": n.positive(0.5, 3.0)}
        tables.append(table)
    return tables


def _directions(n: Numbers) -> str:
    return n.choice("uniform", "triangular", "logistic", "normal")


def _rate(n: Numbers):
    kind = n.weighted(number=0.8, fast=0.08, schedule=0.12)
    if kind == "schedule":
        return {"type": "Schedule", "expression": n.choice(*SCHEDULES)}
    return n.positive(0.03, 1.0) if kind == "number" else n.positive(1.0, 5.0)


def _law(n: Numbers, size: float, atomic: float) -> dict:
    """A law of weights; those on few points `atomic` times as often: the limit has a row for each teacher value."""
    few = {"Constant": 2 * atomic, "TwoPoint": 3 * atomic, "Discrete": 2 * atomic}
    kind = n.weighted(**few, Normal=3, Laplace=1, UniformLaw=1.5, Empirical=0.7)
    if kind == "Constant":
        return {"type": kind, "value": n.real(-2 * size, 2 * size)}
    if kind == "TwoPoint":
        return {"type": kind, "value": n.positive(0.3 * size, 2 * size), "probability": n.real(0.05, 0.95)}
    if kind == "Discrete":
        law = {"type": kind, "values": n.increasing(3, -2 * size, 2 * size)}
        return law | ({"probabilities": [0.25, 0.25, 0.5]} if n.chance(0.5) else {})
    if kind == "Normal":
        return {"type": kind, "mean": n.real(-size, size), "std": n.positive(0.1 * size, 1.5 * size)}
    if kind == "Laplace":
        return {"type": kind, "mean": n.real(-size, size), "scale": n.positive(0.1 * size, size)}
    if kind == "UniformLaw":
        low = n.real(-2 * size, size)
        # a degenerate law has both ends in one place
        high = low if n.chance(0.03, shared=False) else n.real(size, 2 * size)
        return {"type": kind, "low": low, "high": high}
    values = n.own.normal(0, size, n.choice(3, 60, 240))
    return {"type": kind, "values": [float(value) for value in np.round(values, 2)]}


def grid(n: Numbers, size: float = 2.0, odd: bool = False) -> dict:
    """A step function."""
    kind = n.weighted(Uniform=4, SignedInteger=1 - odd, Sign=1, Ternary=1, Levels=2, IntegerFormat=1, FloatFormat=1)
    scale = n.positive(size / 3, 1.5 * size)
    if kind == "Uniform":
        style = n.choice("mid-rise", "mid-tread")
        # one bit without a level in the middle is a refusal that need not come often
        fewest = 1 if style == "mid-rise" or n.chance(0.1) else 2
        return {"type": kind, "bits": n.integer(fewest, 4), "range": scale, "kind": style}
    if kind == "SignedInteger":
        return {"type": kind, "bits": n.integer(1, 3), "range": scale}
    if kind == "IntegerFormat":
        position = n.choice("largest", "middle", "positive")
        return {"type": kind, "bits": n.integer(2, 4), "range": scale, "narrow": odd or n.chance(0.5),
                "range_at": position}  # fmt: skip
    if kind == "FloatFormat":
        exponent, mantissa, special = n.choice((2, 1, "none"), (3, 0, "ieee"), (2, 2, "nan"), (1, 1, "none"),
                                               (2, 0, "ieee"))  # fmt: skip
        return {"type": kind, "exponent_bits": exponent, "mantissa_bits": mantissa, "range": scale, "special": special}
    if kind == "Levels":
        return _levels(n, size, odd)
    return {"type": kind, "range": scale}


def _levels(n: Numbers, size: float, odd: bool) -> dict:
    half, own = n.choice(1, 2, 3), n.chance(0.4)
    levels = n.increasing(half if odd else 2 * half, 0.1 if odd else -size, size)
    if odd and isinstance(levels, list):
        levels = [-value for value in reversed(levels)] + levels
    table = {"type": "Levels", "levels_at": levels}
    if own:
        table["thresholds_at"] = n.increasing(2 * half - 1, -size, size)
        if odd and half > 1 and isinstance(table["thresholds_at"], list):
            above = [abs(value) for value in table["thresholds_at"][: half - 1]]
            above.sort()
            table["thresholds_at"] = [-value for value in reversed(above)] + [0.0] + above
        elif odd:
            table["thresholds_at"] = [0.0]
    return table


def _noise_model(n: Numbers) -> dict:
    kind = n.weighted(AdditiveNoise=3, MultiplicativeNoise=2, CommonFactor=1)
    return {"type": kind, "noise_variance": n.positive(0.02, 0.5)}


def _rounding(n: Numbers, odd: bool = False) -> dict:
    return {"type": "StochasticRounding", "grid": grid(n, odd=odd)}


def _smooth(n: Numbers, *expressions: str) -> dict:
    return {"type": "Elementwise", "expression": n.choice(*expressions)}


def _weight_map(n: Numbers) -> dict:
    kind = n.weighted(grid=6, identity=1, rounding=1.2, noise=1, smooth=0.6, other=0.3)
    maps = {
        "grid": lambda: grid(n),
        "identity": lambda: {"type": "Identity"},
        "rounding": lambda: _rounding(n),
        "noise": lambda: _noise_model(n),
        "smooth": lambda: _smooth(n, *SMOOTH),
        "other": lambda: _smooth(n, *OTHER_SMOOTH),
    }
    return maps[kind]()


def _input_map(n: Numbers) -> dict:
    kind = n.weighted(identity=4, grid=4, rounding=0.8, noise=0.8, smooth=0.5, even=0.2)
    maps = {
        "identity": lambda: {"type": "Identity"},
        "grid": lambda: grid(n, odd=True),
        "rounding": lambda: _rounding(n, odd=True),
        "noise": lambda: _noise_model(n),
        "smooth": lambda: _smooth(n, *SMOOTH),
        "even": lambda: grid(n),
    }
    return maps[kind]()


def _output_map(n: Numbers) -> dict:
    kind = n.weighted(grid=3, rounding=1.5, noise=3, smooth=1.5)
    maps = {
        "grid": lambda: grid(n),
        "rounding": lambda: _rounding(n),
        "noise": lambda: _noise_model(n),
        "smooth": lambda: _smooth(n, *SMOOTH[:4]),
    }
    return maps[kind]()


def _around(n: Numbers) -> dict:
    """Options around the core: a spectrum, and maps of output, labels and residual."""
    table = {}
    spectrum = n.weighted(none=7, PowerLaw=1.5, Eigenvalues=1.5)
    if spectrum == "PowerLaw":
        exponent, scale = n.positive(0.5, 2.0), n.positive(0.7, 2.5)
        table["spectrum"] = {"type": spectrum, "exponent": exponent, "count": n.integer(2, 4), "scale": scale}
    elif spectrum == "Eigenvalues":
        count = n.choice(1, 2, 3)
        table["spectrum"] = {"type": spectrum, "values_at": [n.positive(0.3, 2.0) for _ in range(count)]}
    if not n.chance(0.3):
        return table
    chosen = n.weighted(activation=4, label_quantizer=2, residual_quantizer=2, two=2, all=1)
    names = ("activation", "label_quantizer", "residual_quantizer")
    for name in names:
        if chosen in (name, "all") or (chosen == "two" and n.chance(0.6)):
            table[name] = _output_map(n)
    surrogate = n.weighted(none=6, clipped=2, derivative=2)
    if surrogate == "clipped":
        table["activation_surrogate"] = {"type": "ClippedSurrogate", "bound": n.positive(1.0, 3.0)}
    elif surrogate == "derivative":
        table["activation_surrogate"] = {"type": "DerivativeOf", "proxy": _smooth(n, *SMOOTH[:3])}
    if n.chance(0.25):
        table["teacher_activation"] = _smooth(n, *SMOOTH[:4]) if n.chance(0.6) else {"type": "Sign", "range": 1.0}
    return table


def _place_target(n: Numbers, table: dict) -> None:
    """Put the teacher, or the start, on the last level, beyond it, or on a threshold of the weights' grid."""
    place, scale = n.weighted(anywhere=8, last=1, beyond=1, middle=1), table["weight_quantizer"].get("range")
    if place == "anywhere" or not isinstance(scale, float):
        return
    factor = {"last": 1.0, "beyond": 1.6, "middle": 0.0}[place]
    if place == "middle":
        table["init"] = {"type": "Constant", "value": 0.0}
    elif n.chance(0.5):
        table["teacher"] = {"type": "Constant", "value": factor * scale}
    elif scale > 0:
        table["teacher"] = {"type": "TwoPoint", "value": factor * scale, "probability": 0.5}


LENGTHS = ("range", "value", "mean", "std", "scale", "low", "high", "noise", "values", "levels_at", "thresholds_at",
           "bound")  # fmt: skip


def _scaled(n: Numbers, table: dict) -> dict:
    """Sometimes the same model in other units of the weights: the error scales with their square, and that is all."""
    plain = set(table) <= {"weight_quantizer", "input_quantizer", "teacher", "init", "learning_rate", "noise",
                           "batch_size", "weight_decay", "surrogate"}  # fmt: skip
    unit = float(10 ** n.own.uniform(-4, 4))
    smooth = table["weight_quantizer"]["type"] in ("Elementwise", "AdditiveNoise")
    if not (plain and n.mode != "wrong" and n.chance(0.15, shared=False)) or smooth:
        return table

    def scaled(value):
        if isinstance(value, dict):
            return {
                key: [scaled(entry) for entry in entries] if isinstance(entries, list) and key in LENGTHS
                else scaled(entries) if isinstance(entries, dict)
                else unit * entries if key in LENGTHS
                else entries
                for key, entries in value.items()
            }  # fmt: skip
        return unit * value

    inputs = {"input_quantizer": table["input_quantizer"]} if "input_quantizer" in table else {}
    return scaled(table) | inputs
