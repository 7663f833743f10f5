"""Random specifications of quantized regression, of the binarized ReLU, and of classification."""

import numpy as np

from tests.fuzz.linear_specifications import grid
from tests.fuzz.numbers import Numbers

ROLES = ("data", "label", "parameter", "activation", "gradient")
SLOPES = ("identity", "relu", "clipped relu", "1/(1 + x**2)", "exp(-x**2)", "Heaviside(x)*exp(-x)", "Max(0, 1 - x**2)",
          "Heaviside(x - 1)")  # fmt: skip
"""Derivatives mu' of the binarized ReLU."""
NO_SLOPES = ("x", "rellu", "1/x", "sqrt(x)", "y")
"""Derivatives that are negative, misspelled, not finite or not known."""
MULTI_SLOPES = ("identity", "relu", "clipped relu", "exponential tail", "logarithmic tail", "1/(1 + x**2)",
                "Heaviside(x)/(1 + x**2)", "Heaviside(x)*exp(-x)", "Max(0, 1 - x**2)")  # fmt: skip
"""Derivatives mu' of the quantized ReLU."""


def regression_table(n: Numbers) -> dict:
    """A model of quantized regression as a nested dictionary."""
    dim = n.choice(4, 12, 30, 60)
    kind = n.weighted(PowerLaw=3, Eigenvalues=2)
    if kind == "PowerLaw":
        spectrum = {"type": kind, "exponent": n.positive(0.5, 2.5), "count": dim, "scale": n.positive(0.5, 2.0)}
    else:
        spectrum = {"type": kind, "values_at": [n.positive(0.1, 2.0) for _ in range(dim)]}
    # stable for moderate numbers where eta Tr H is below about 2/(1 + 1/B)
    trace = _trace(spectrum, dim)
    table = {
        "spectrum": spectrum,
        "step_size": n.positive(0.05, 0.8) if not trace else n.positive(0.02 / trace, 0.9 / trace),
        "noise": 0.0 if n.chance(0.2) else n.positive(0.1, 1.5),
        "batch_size": n.choice(1, 1, 2, 4),
        "average_fraction": n.real(0.05, 1.0) if n.chance(0.5) else 1.0,
        "teacher": _weights(n, dim),
        "init": 0.0 if n.chance(0.5) else _weights(n, dim),
    }
    for role in ROLES:
        if n.chance(0.5):
            table[f"{role}_quantizer"] = _regression_map(n)
    return table


def _trace(spectrum: dict, dim: int) -> float:
    values = spectrum.get("values_at", [spectrum.get("scale")])
    exponent = spectrum.get("exponent", 0.0)
    if not all(type(value) is float and 1e-9 < value < 1e6 for value in values) or type(exponent) is not float:
        return 0.0
    if "values_at" in spectrum:
        return float(np.sum(values))
    return float(values[0] * np.sum(np.arange(1, dim + 1) ** -min(abs(exponent), 50.0)))


def _weights(n: Numbers, dim: int):
    if n.chance(0.4):
        return n.real(-1.5, 1.5)
    size = dim if n.mode != "wrong" else dim + n.choice(0, 0, 1, shared=False)
    return [float(value) for value in n.own.normal(0, 1, size)]


def _regression_map(n: Numbers) -> dict:
    kind = n.weighted(AdditiveNoise=4, MultiplicativeNoise=3, CommonFactor=3, grid=0.6, StochasticRounding=0.6)
    if kind == "grid":
        return grid(n)
    if kind == "StochasticRounding":
        return {"type": kind, "grid": grid(n)}
    return {"type": kind, "noise_variance": n.positive(0.001, 0.3)}


def binary_relu_table(n: Numbers) -> dict:
    """A model of the binarized ReLU as a dictionary."""
    rows, size = n.choice(1, 2, 3, 5), n.choice(2, 3, 6)
    table = {"rows": rows, "filter_size": size, "surrogate": _slope(n, SLOPES), "step": n.positive(0.005, 0.2)}
    extra = n.choice(0, 0, 0, 1, shared=False) if n.mode == "wrong" else 0
    if n.chance(0.7):
        table["output_teacher"] = [n.real(-2.0, 2.0) for _ in range(rows + extra)]
    elif n.chance(0.5):
        table["output_teacher"] = n.real(-2.0, 2.0)
    if n.chance(0.5):
        table["filter_teacher"] = [n.real(-2.0, 2.0) for _ in range(size)]
    return table


def _slope(n: Numbers, known: tuple[str, ...]) -> str:
    slope, wrong = n.choice(*known), n.choice(*NO_SLOPES, shared=False)
    return wrong if n.mode == "wrong" and n.chance(0.3, shared=False) else slope


def classification_table(n: Numbers) -> dict:
    """A model of classification as a dictionary."""
    classes = n.choice(2, 3, 4)
    planes = n.chance(0.6)
    dimensions = 2 if planes else [n.choice(1, 2, 3) for _ in range(classes)]
    low = n.positive(0.3, 1.5)
    table = {
        "classes": classes,
        "dimensions": dimensions,
        "bits": n.integer(1, 4),
        "surrogate": _slope(n, MULTI_SLOPES),
        "step": n.positive(0.01, 0.5),
        "batch": "population" if n.chance(0.15) else n.choice(1, 8, 64),
        "radii": [low, low if n.chance(0.1, shared=False) else _times(low, n.positive(1.0, 3.0))],
        "vote": n.positive(0.2, 3.0),
        "init_scale": n.positive(0.05, 1.0),
        "rotated": n.chance(0.2),
    }
    count = n.weighted(default=3, number=3, each=1, total=1)
    if count == "number":
        table["neurons_per_class"] = n.choice(1, 3, 6)
    elif count == "each":
        table["neurons_per_class"] = [n.choice(2, 3, 5) for _ in range(classes)]
    elif count == "total":
        table["neurons"] = n.choice(classes, 4 * classes, 4 * classes + 1)
    if n.chance(0.15):
        space = classes * dimensions if planes else sum(dimensions)
        table["input_dimension"] = space + n.choice(0, 3, -1)
    return table


def _times(first, second):
    numeric = type(first) is float and type(second) is float
    return first * second if numeric else second
