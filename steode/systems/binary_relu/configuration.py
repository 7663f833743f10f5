"""Specifications of the binarized ReLU as dictionaries and TOML files.

system = "binary_relu"
[model]
rows = 3
filter_size = 4
output_teacher = [1.0, -0.5, 2.0]    # or one number for all rows
surrogate = "clipped relu"           # identity, relu, or your own mu' >= 0 in x: "1/(1 + x**2)"
step = 0.05
[vary]                               # optional: one case for each value
parameter = "surrogate"
values = ["identity", "relu", "clipped relu"]
[run]
t_end = 100.0                        # others: see RunSettings
"""

import dataclasses
import pathlib

import numpy as np

from steode.errors import LARGEST_INTEGER, LARGEST_SIZE, SpecificationError, check_integer, check_positive
from steode.parts import study_file
from steode.parts.configuration import check_plain, parse_toml
from steode.parts.expression import parse_expression, write_expression
from steode.parts.study_file import Study, check_known, toml_text
from steode.systems.binary_relu.spec import BinaryReLUModel, check_model
from steode.systems.binary_relu.starts import Starts, random_starts, starts
from steode.systems.binary_relu.surrogates import SURROGATES, X

SYSTEM = "binary_relu"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a study is run; every field may stand in the [run] table of its file.

    t_end : last time of the flow, step size times number of steps.
    starts : number of random starts, with v ~ N(0, spread^2) and theta uniform.
    v, theta : starts of one's own instead of random ones: lists of output weights, and of angles.
    length : |w| at every start.
    seeds, batch, samples : simulated runs from every start, fresh samples in a step, and size of one fixed data set
        instead (0: fresh samples); 0 seeds simulate nothing.
    records : number of times after the first at which everything is recorded.
    key : random key of starts and samples.

    Raises `SpecificationError` for a value out of its domain.
    """

    t_end: float = 100.0
    starts: int = 40
    spread: float = 1.0
    v: list | None = None
    theta: list | None = None
    length: float = 1.0
    seeds: int = 4
    batch: int = 64
    samples: int = 0
    records: int = 100
    key: int = 0

    def __post_init__(self):
        for name in ("t_end", "spread", "length"):
            check_positive(f"run.{name}", getattr(self, name))
        for name, least in (("starts", 1), ("seeds", 0), ("batch", 1), ("samples", 0), ("records", 1), ("key", 0)):
            largest = LARGEST_INTEGER if name == "key" else LARGEST_SIZE
            check_integer(f"run.{name}", getattr(self, name), least, largest=largest)
        if (self.v is None) != (self.theta is None):
            missing = "run.theta" if self.theta is None else "run.v"
            raise SpecificationError(missing, "v and theta together", None, "Or neither, for random starts.")

    def starts_of(self, model: BinaryReLUModel) -> Starts:
        """The starts for a model."""
        if self.v is not None:
            return starts(model, self.v, self.theta, self.length)
        found = random_starts(model, self.starts, key=self.key, spread=self.spread)
        return dataclasses.replace(found, length=np.full(len(found), float(self.length)))


def to_dict(model: BinaryReLUModel) -> dict:
    """The specification as a dictionary of plain numbers, strings and lists; `from_dict` inverts it.

    Raises `SpecificationError` if `model` is no `BinaryReLUModel`, or its own mu' holds functions that `from_dict`
    does not read.
    """
    check_model(model)
    table = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    surrogate = model.surrogate
    table["surrogate"] = surrogate.name if surrogate.name in SURROGATES else write_expression(surrogate.derivative)
    if _surrogate(table["surrogate"]) not in (surrogate.name, surrogate.derivative):
        remedy = "Write it with functions of one variable that SymPy prints and reads again."
        raise SpecificationError("surrogate", "an expression a file can hold", table["surrogate"], remedy)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in table.items()}


def from_dict(table: dict) -> BinaryReLUModel:
    """The model a dictionary describes; its surrogate is a name, or mu' as text in x.

    Raises `SpecificationError` for an unknown key, a missing argument, or a value the class refuses.
    """
    known = [field.name for field in dataclasses.fields(BinaryReLUModel)]
    if not isinstance(table, dict):
        raise SpecificationError("model", "a table", table, "See steode.systems.binary_relu.BinaryReLUModel.")
    check_plain("model", table)
    check_known("model.", table, tuple(known))
    arguments = dict(table)
    if isinstance(arguments.get("surrogate"), str):
        arguments["surrogate"] = _surrogate(arguments["surrogate"])
    try:
        return BinaryReLUModel(**arguments)
    except TypeError as error:
        # a required argument is missing: every other mistake is a SpecificationError already
        raise SpecificationError("model", "the arguments of BinaryReLUModel", table, f"{error}.") from None


def _surrogate(text: str):
    """A name as it is, else the expression."""
    if text in SURROGATES or (text.replace(" ", "").isalpha() and text != X.name):
        # a misspelled name: the class lists those there are
        return text
    return parse_expression("model.surrogate", text, X)


def to_toml(model: BinaryReLUModel) -> str:
    """The specification as the text of a TOML file with `system` and the table [model]."""
    return toml_text(SYSTEM, to_dict(model))


def from_toml(text: str) -> BinaryReLUModel:
    """The model whose specification `to_toml` wrote."""
    return from_dict(parse_toml(text).get("model"))


def read_study(path: str | pathlib.Path, changes: dict | None = None) -> Study:
    """The study a TOML file describes; `changes` maps dotted keys such as "model.step" to new values.

    Raises `SpecificationError` for anything that does not make sense.
    """
    study = study_file.read_study(SYSTEM, pathlib.Path(path), changes, RunSettings, from_dict, BinaryReLUModel)
    for model in study.cases.values():
        study.settings.starts_of(model)
    return study
