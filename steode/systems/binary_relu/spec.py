"""Specification of two linear layers with a binarized ReLU between them, trained against a teacher of the same form."""

import dataclasses

import numpy as np
import sympy

from steode.errors import LARGEST_SIZE, SpecificationError, check_array, check_integer, check_positive
from steode.systems.binary_relu.surrogates import Surrogate, check_surrogate


@dataclasses.dataclass(frozen=True, kw_only=True)
class BinaryReLUModel:
    """y(Z) = v.s(Z w), s(x) = 1{x > 0}, Z of shape (m, n) with independent standard Gaussian entries.

    A shared filter w and output weights v are trained on (y - y*)^2/2 against the teacher y* = v*.s(Z w*). The
    derivative of s is zero; a surrogate mu' takes its place in the backward pass. One coarse-gradient step:

        v <- v - step (y - y*) s(Zw),    w <- w - step (y - y*) Z^T (mu'(Zw) o v),

    averaged over the samples of a batch, or over all Z. Source: Yin, Lyu, Zhang, Osher, Qi, Xin (arXiv 1903.05662).

    Parameters
    ----------
    rows : m >= 1, rows of Z and entries of v.
    filter_size : n >= 2, columns of Z and entries of w.
    output_teacher : v*: one number for all entries, or an array (m,); not zero.
    filter_teacher : w*: an array (n,) that is not zero, or None for the first unit vector. Only its direction matters,
        and it is scaled to length 1.
    surrogate : "identity" (mu' = 1), "relu" (mu' = 1{x > 0}), "clipped relu" (mu' = 1{0 < x < 1}), or mu' >= 0 as a
        SymPy expression in one variable.
    step : step size > 0 of coarse-gradient descent.

    Raises
    ------
    SpecificationError
        If a number is out of its domain, an array has the wrong number of entries, a teacher is zero, or mu' is
        negative somewhere.
    """

    rows: int
    filter_size: int
    output_teacher: float | tuple[float, ...] = 1.0
    filter_teacher: tuple[float, ...] | None = None
    surrogate: Surrogate | str | sympy.Expr = "relu"
    step: float = 0.05

    def __post_init__(self):
        set_field = object.__setattr__
        set_field(self, "rows", check_integer("rows", self.rows, 1, largest=LARGEST_SIZE))
        remedy = "One entry leaves no angle between w and w*; give at least 2."
        set_field(
            self, "filter_size", check_integer("filter_size", self.filter_size, 2, remedy=remedy, largest=LARGEST_SIZE)
        )
        set_field(self, "output_teacher", _entries("output_teacher", self.output_teacher, self.rows, "rows", True))
        given = np.eye(1, self.filter_size)[0] if self.filter_teacher is None else self.filter_teacher
        direction = np.array(_entries("filter_teacher", given, self.filter_size, "filter_size", False))
        length = np.linalg.norm(direction)
        # one of length 1 up to rounding stays as it is, so that a copy of a model equals it
        set_field(self, "filter_teacher", tuple((direction / (length if abs(length - 1) > 1e-14 else 1)).tolist()))
        set_field(self, "surrogate", check_surrogate(self.surrogate))
        set_field(self, "step", check_positive("step", self.step))

    @property
    def v_star(self) -> np.ndarray:
        """v*, shape (m,)."""
        return np.array(self.output_teacher)

    @property
    def w_star(self) -> np.ndarray:
        """w*, of length 1, shape (n,)."""
        return np.array(self.filter_teacher)

    @property
    def has_spurious_minimum(self) -> bool:
        """True if (1.v*)^2 < (m + 1) |v*|^2/2, the condition for local minima at theta = pi."""
        return bool(self.v_star.sum() ** 2 < (self.rows + 1) * (self.v_star @ self.v_star) / 2)

    def replace(self, **changes) -> "BinaryReLUModel":
        """The same model with some arguments changed."""
        return dataclasses.replace(self, **changes)


def _entries(argument: str, given, size: int, of: str, may_be_number: bool) -> tuple[float, ...]:
    values = check_array(argument, given, any_shape=True)
    if values.size == 1 and may_be_number and np.ndim(given) == 0:
        values = np.full(size, values[0])
    if values.size != size or np.ndim(given) > 1:
        received = f"shape {np.shape(given)}"
        raise SpecificationError(argument, f"{size} entries, as {of} says", received, f"Change {argument} or {of}.")
    if not np.linalg.norm(values) > 0:
        raise SpecificationError(argument, "a vector that is not zero", given, "A zero teacher has no direction.")
    return tuple(values.tolist())


def check_model(model: object) -> None:
    """Raise `SpecificationError` unless `model` is a `BinaryReLUModel`."""
    if not isinstance(model, BinaryReLUModel):
        raise SpecificationError("model", "a BinaryReLUModel", model, "See steode.systems.binary_relu.BinaryReLUModel.")
