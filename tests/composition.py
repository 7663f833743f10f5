"""One model for each option of the linear system, and a call for each thing that can be asked of it."""

import string

import numpy as np

import steode
from steode import (
    FOGZO,
    SPSA,
    Adam,
    AdditiveNoise,
    ClippedSurrogate,
    CommonFactor,
    DerivativeOf,
    Eigenvalues,
    Elementwise,
    FollowingRange,
    Group,
    Identity,
    KineticMomentum,
    LearnedRange,
    LinearModel,
    Momentum,
    Normal,
    Schedule,
    SignSGD,
    StochasticRounding,
    TwoPoint,
    Uniform,
)
from steode.systems.linear.fixed_point import FixedPoint
from steode.systems.linear.properties import NEEDS, missing

BASE = LinearModel(
    teacher=TwoPoint(1.0),
    weight_quantizer=Uniform(bits=2, range=2.0, kind="mid-tread"),
    input_quantizer=Uniform(bits=3, range=2.0),
    learning_rate=0.3,
    noise=0.2,
    init=Normal(std=0.5),
)
STEP, TANH = Uniform(bits=2, range=1.5), Elementwise("tanh(x)")
OPTIONS = {
    "none": {},
    "schedule": {"learning_rate": Schedule("0.5/(1 + tau)")},
    "weight decay": {"weight_decay": 0.1},
    "batch": {"batch_size": 4},
    "clipped surrogate": {"surrogate": ClippedSurrogate(1.5)},
    "smooth surrogate": {"surrogate": DerivativeOf(Elementwise("2*tanh(x/2)"))},
    "smooth map of the weights": {"weight_quantizer": TANH},
    "unquantized weights": {"weight_quantizer": Identity()},
    "spectrum": {"spectrum": Eigenvalues([0.5, 1.5])},
    "stochastic rounding of the weights": {"weight_quantizer": StochasticRounding(Uniform(bits=2, range=2.0))},
    "additive noise on the weights": {"weight_quantizer": AdditiveNoise(0.1)},
    "stochastic rounding of the inputs": {"input_quantizer": StochasticRounding(Uniform(bits=3, range=2.0))},
    "common factor of the inputs": {"input_quantizer": CommonFactor(0.1)},
    "activation": {"activation": STEP},
    "activation and its surrogate": {"activation": TANH, "activation_surrogate": DerivativeOf(TANH)},
    "activation of the teacher": {"teacher_activation": TANH},
    "label quantizer": {"label_quantizer": STEP},
    "residual quantizer": {"residual_quantizer": STEP},
    "momentum": {"update_rule": Momentum(0.9)},
    "kinetic momentum": {"update_rule": KineticMomentum(friction=2.0)},
    "sign of the gradient": {"update_rule": SignSGD()},
    "Adam": {"update_rule": Adam(second_moment_rate=1.0)},
    "Adam of short memory": {"update_rule": Adam()},
    "dampening": {"dampening": 0.5},
    "learned range": {"range_rule": LearnedRange(rate=0.1)},
    "range that follows the weights": {"range_rule": FollowingRange()},
    "groups of coordinates": {"groups": (Group(0.5), Group(0.5, teacher=TwoPoint(0.6)))},
    "FOGZO": {"update_rule": FOGZO(c=2.0, eps=0.3)},
    "SPSA": {"update_rule": SPSA(ratio=0.1, eps=0.3)},
}
MODELS = {name: BASE.replace(**changes) for name, changes in OPTIONS.items()}


def ask(what: str, model: LinearModel):
    """Ask for it, in the smallest form there is."""
    verb, _, kind = what.partition(", ")
    method = {"method": kind} if kind in ("gaussian", "moments") else {}
    match verb:
        case "solve" if kind == "drawn start":
            return steode.solve(model, 0.1, start=np.random.default_rng(0).normal(size=(2, 50)))
        case "solve" if kind == "density kept":
            return steode.solve(model, 0.1, snapshot_times=[0.1], method="density", tolerance=1e-2)
        case "solve":
            return steode.solve(model, 0.1, method=kind, tolerance=1e-2)
        case "limit_function":
            return steode.limit_function(model, [0.1], **(method or {"intervals": 64, "teacher_values": 4}))
        case "stability":
            # a point that holds nothing but its model: the refusal comes before its numbers are looked at
            point = object.__new__(FixedPoint)
            object.__setattr__(point, "model", model)
            return steode.stability(point)
        case "optimal_range":
            return steode.optimal_range(model, **({"at": 0.1} if kind else {}))
        case "fluctuations":
            return steode.fluctuations(model, 0.1, **method)
        case "sweep of fixed points":
            return steode.sweep(model, {"noise": [0.1, 0.2]})
        case "sweep of curves":
            settings = {"t_end": 1.0, "error": 0.1, "method": kind or "density"}
            return steode.sweep(model, {"noise": [0.1, 0.2]}, "time_to_error", **settings)
        case _:
            return getattr(steode, verb)(model)


def page() -> str:
    """The table of the documentation: a dot where it works, otherwise the number of the property that is missing."""
    found = {(name, what): missing(model, what) for name, model in MODELS.items() for what in NEEDS}
    reasons = list(dict.fromkeys(cell[0] for cell in found.values() if cell))
    lines = [
        "| option | " + " | ".join(f"{index}" for index in range(1, len(NEEDS) + 1)) + " |",
        "|---|" + "---|" * len(NEEDS),
    ]
    for name in MODELS:
        cells = [found[name, what] for what in NEEDS]
        lines.append(f"| {name} | " + " | ".join("." if c is None else _letter(reasons, c[0]) for c in cells) + " |")
    columns = "; ".join(f"{index} {what}" for index, what in enumerate(NEEDS, 1))
    needs = [f"- **{_letter(reasons, reason)}** needs {reason.need}: {reason.instead}." for reason in reasons]
    return "\n".join([*lines, "", f"Columns: {columns}.", "", *needs]) + "\n"


def _letter(reasons: list, reason) -> str:
    return (string.ascii_uppercase + string.ascii_lowercase)[reasons.index(reason)]
