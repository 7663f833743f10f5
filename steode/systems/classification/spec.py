"""Specification of classes in orthogonal subspaces, learned by two linear layers with a quantized ReLU between them."""

import dataclasses
import numbers

import numpy as np
import sympy

from steode.errors import LARGEST_SIZE, SpecificationError, check_integer, check_positive
from steode.systems.binary_relu.surrogates import Surrogate
from steode.systems.classification.admissibility import SurrogateReport, surrogate_report
from steode.systems.classification.surrogates import at_bits, check_surrogate

POPULATION = "population"
Counts = int | tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassificationModel:
    """Multi-category classification by o_i = u_i.Q(W x) with hinge loss and coarse gradients for W.

    Class i lives in a subspace V_i of dimension d_i, orthogonal to the others: x = r s with a direction s uniform on
    the unit sphere of V_i and a length r uniform in [r_0, r_1], r_0 > 0. Its density in V_i is bounded from both sides
    on this annulus. Every class is symmetric around 0: classes cannot be separated linearly. Labels are uniform.

    The first layer W has K neurons h_j = w_j.x and is trained; Q is the b-bit quantized ReLU: 0 for x <= 0, else
    min(ceil(x), 2^b - 1). The second layer is fixed: each neuron votes for one class with v/2 and against all others
    with -v/2. One step, averaged over a batch, with the hinge loss l = max(0, 1 - o_y + max_{i != y} o_i):

        w_j <- w_j - step * (dl/dh_j with mu'(h_j) in place of Q'(h_j)) x.

    Where several classes tie for the largest wrong output, they share its derivative equally. This setting is our
    reading of Long, Yin, Xin (arXiv 2011.11256), of which only the abstract was available.

    Parameters
    ----------
    classes : C >= 2.
    dimensions : d_i >= 1: one number for all classes, or a tuple of C.
    neurons_per_class : neurons that vote for each class, >= 1: one number, or a tuple of C. None: from `neurons`, or
        2 (d_i + 1).
    neurons : K, their total; None: their sum. With `neurons_per_class` it has to be that sum, alone a multiple of C.
    input_dimension : dimension of x, at least the sum of d_i; None: that sum. Data have no part in what is beyond it.
    bits : b >= 1 of the quantized ReLU.
    surrogate : name in `SURROGATES` ("identity", "relu", "clipped relu", "exponential tail", "logarithmic tail"), or
        mu' >= 0 as an expression in x, from SymPy or as text. Whether it is admissible is in `admissibility`; only a
        negative mu' is refused.
    step : step size > 0.
    batch : number of fresh samples in every step, >= 1, or "population": the expectation, as a sum over a grid of
        angles and lengths; for d_i = 2 only.
    radii : (r_0, r_1) with 0 < r_0 <= r_1.
    vote : v > 0; a sample has no loss if its own class leads by at least 1/v levels.
    init_scale : standard deviation > 0 of the entries of W at the start, independent and Gaussian.
    rotated : the subspaces are turned at random in the input space; the law of everything else does not depend on it.

    Raises
    ------
    SpecificationError
        If a number is out of its domain, numbers do not add up, or mu' is negative somewhere.
    """

    classes: int = 3
    dimensions: Counts = 2
    neurons_per_class: Counts | None = None
    neurons: int | None = None
    input_dimension: int | None = None
    bits: int = 2
    surrogate: Surrogate | str | sympy.Expr = "relu"
    step: float = 0.1
    batch: int | str = 64
    radii: tuple[float, float] = (1.0, 2.0)
    vote: float = 1.0
    init_scale: float = 0.2
    rotated: bool = False

    def __post_init__(self):
        set_field = object.__setattr__
        set_field(self, "classes", check_integer("classes", self.classes, 2, largest=LARGEST_SIZE))
        set_field(self, "dimensions", _counts("dimensions", self.dimensions, self.classes))
        set_field(self, "neurons_per_class", self._neurons())
        set_field(self, "neurons", sum(self.neurons_per_class))
        space = sum(self.dimensions)
        given = space if self.input_dimension is None else self.input_dimension
        remedy = f"Orthogonal subspaces of dimensions {self.dimensions} need at least {space}."
        set_field(
            self, "input_dimension", check_integer("input_dimension", given, space, remedy=remedy, largest=LARGEST_SIZE)
        )
        set_field(self, "bits", check_integer("bits", self.bits, 1, 24))
        set_field(self, "surrogate", check_surrogate(self.surrogate))
        surrogate_report(self.surrogate, self.bits)  # raises where mu' is negative
        for name in ("step", "vote", "init_scale"):
            set_field(self, name, check_positive(name, getattr(self, name)))
        set_field(self, "radii", _radii(self.radii))
        if not isinstance(self.rotated, bool):
            raise SpecificationError("rotated", "True or False", self.rotated, "The subspaces are turned at random.")
        if self.batch == POPULATION:
            if set(self.dimensions) != {2}:
                remedy = "In other dimensions take a large batch."
                raise SpecificationError("batch", "subspaces of dimension 2", self.dimensions, remedy)
        else:
            remedy = 'A number of fresh samples, or "population".'
            set_field(self, "batch", check_integer("batch", self.batch, 1, remedy=remedy, largest=LARGEST_SIZE))

    def _neurons(self) -> tuple[int, ...]:
        given, total = self.neurons_per_class, self.neurons
        if total is not None:
            check_integer("neurons", total, self.classes, largest=LARGEST_SIZE)
        if given is None and total is None:
            return tuple(2 * (dimension + 1) for dimension in self.dimensions)
        if given is None:
            if total % self.classes:
                remedy = "Or say with neurons_per_class how many vote for each."
                raise SpecificationError("neurons", f"a multiple of {self.classes} classes", total, remedy)
            return (total // self.classes,) * self.classes
        given = _counts("neurons_per_class", given, self.classes)
        if total is not None and sum(given) != total:
            raise SpecificationError(
                "neurons", f"the sum {sum(given)} of neurons_per_class", total, "Give one of them."
            )
        return given

    @property
    def top(self) -> int:
        """Highest level 2^b - 1."""
        return 2**self.bits - 1

    @property
    def margin(self) -> int:
        """Levels by which a class has to lead for no loss: 1/v rounded up."""
        return int(np.ceil(1 / self.vote - 1e-12))

    @property
    def votes(self) -> np.ndarray:
        """Class of each neuron, (K,)."""
        return np.repeat(np.arange(self.classes), self.neurons_per_class)

    @property
    def blocks(self) -> tuple[slice, ...]:
        """Coordinates of each subspace, among the sum of d_i."""
        ends = np.cumsum(self.dimensions)
        return tuple(slice(int(end - size), int(end)) for end, size in zip(ends, self.dimensions, strict=True))

    @property
    def slope(self) -> Surrogate:
        """mu' with the number of bits put in."""
        return at_bits(self.surrogate, self.bits)

    @property
    def admissibility(self) -> SurrogateReport:
        """Whether the surrogate is admissible, and why."""
        return surrogate_report(self.surrogate, self.bits)

    def replace(self, **changes) -> "ClassificationModel":
        """The same model with some arguments changed; a changed number of neurons changes both ways to say it."""
        if "neurons" in changes:
            changes = {"neurons_per_class": None} | changes
        elif "neurons_per_class" in changes or "classes" in changes:
            changes = {"neurons": None} | changes
        if "dimensions" in changes or "classes" in changes:
            changes = {"input_dimension": None} | changes
        return dataclasses.replace(self, **changes)


def check_model(model: object) -> None:
    """Raise `SpecificationError` unless `model` is a `ClassificationModel`."""
    if not isinstance(model, ClassificationModel):
        remedy = "See steode.systems.classification.ClassificationModel."
        raise SpecificationError("model", "a ClassificationModel", model, remedy)


def _counts(argument: str, given, classes: int) -> tuple[int, ...]:
    if isinstance(given, numbers.Integral) and not isinstance(given, bool):
        given = (given,) * classes
    if not isinstance(given, tuple | list | np.ndarray) or len(given) != classes:
        remedy = f"There are {classes} classes."
        raise SpecificationError(argument, f"one integer, or {classes} of them", given, remedy)
    return tuple(check_integer(argument, entry, 1, largest=LARGEST_SIZE) for entry in given)


def _radii(given) -> tuple[float, float]:
    if not isinstance(given, tuple | list | np.ndarray) or len(given) != 2:
        raise SpecificationError("radii", "two numbers", given, "Shortest and longest sample, such as (1.0, 2.0).")
    low, high = (check_positive("radii", value) for value in given)
    if low > high:
        raise SpecificationError("radii", "0 < r_0 <= r_1", given, "Exchange them.")
    return low, high
