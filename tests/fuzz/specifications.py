"""From a seed to a specification: which system, a table of plain numbers and texts, and the model that it describes."""

import dataclasses

import numpy as np
import sympy

import steode
from steode import binary_relu, classification, regression
from tests.fuzz.linear_specifications import linear_table
from tests.fuzz.numbers import Numbers
from tests.fuzz.other_specifications import binary_relu_table, classification_table, regression_table

SYSTEMS = {
    "linear": (linear_table, steode.LinearModel),
    "regression": (regression_table, regression.RegressionModel),
    "binary_relu": (binary_relu_table, binary_relu.BinaryReLUModel),
    "classification": (classification_table, classification.ClassificationModel),
}
SHARES = {"linear": 0.7, "regression": 0.12, "binary_relu": 0.09, "classification": 0.09}
GROUP = 10
"""Neighboring seeds with one structure: they compile the same programs."""


@dataclasses.dataclass(frozen=True)
class Specification:
    """What a seed stands for.

    Attributes
    ----------
    seed, system, mode : the seed; a name in SYSTEMS; a name in `tests.fuzz.numbers.MODES`.
    table : the model as nested dictionaries of plain values, some of which no model accepts.
    """

    seed: int
    system: str
    mode: str
    table: dict

    def build(self):
        """The model, by the constructors that a user would call; it need not exist."""
        arguments = {name: _part(value) for name, value in self.table.items()}
        surrogate = arguments.get("surrogate")
        if self.system == "binary_relu" and surrogate not in binary_relu.SURROGATES and not surrogate.isalpha():
            # files hold it as text, the constructor takes an expression
            arguments["surrogate"] = sympy.sympify(surrogate)
        return SYSTEMS[self.system][1](**arguments)

    @property
    def generator(self) -> np.random.Generator:
        """Random numbers for what is done with the model."""
        return np.random.default_rng([2, self.seed])


def specification(seed: int, system: str | None = None) -> Specification:
    """The specification of a seed, of one system or of the one that the seed chooses; a function of these alone."""
    structure, own = np.random.default_rng([0, seed // GROUP]), np.random.default_rng([1, seed])
    chosen = str(structure.choice(list(SHARES), p=list(SHARES.values())))
    numbers = Numbers(structure, own)
    system = system or chosen
    return Specification(seed, system, numbers.mode, SYSTEMS[system][0](numbers))


def _part(value):
    if isinstance(value, dict):
        arguments = {name: _part(entry) for name, entry in value.items() if name != "type"}
        return getattr(steode, value["type"])(**arguments)
    # a list of numbers stands for an array or a tuple: both are taken
    return tuple(value) if isinstance(value, list) else value
