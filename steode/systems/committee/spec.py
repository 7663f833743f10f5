"""Specification of a committee machine: several hidden units with quantized weights, learning from another one."""

import dataclasses
import functools

import numpy as np

from steode.errors import SpecificationError, check_array, check_integer, check_nonnegative, check_positive
from steode.parts.laws import Law, Normal, Paired
from steode.parts.quantizers import EntrywiseMap, Identity
from steode.parts.schedule import Schedule
from steode.parts.stochastic import StochasticMap
from steode.parts.surrogates import (
    ClippedSurrogate,
    IdentitySurrogate,
    OutputSurrogate,
    WeightSurrogate,
    check_surrogate,
)
from steode.systems.committee.activations import KNOWN, ActivationExpression, check_activation

MOST_UNITS = 64
"""Hidden units of student or teacher: their order parameters are matrices, their noise a sum over four units."""
FLAT = 1e-9
"""Negative eigenvalues of an overlap matrix up to this part of the largest one are rounding."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommitteeModel:
    """A committee of K hidden units with quantized weights, trained online on the outputs of one with M units.

    With x ~ N(0, I_d), images z = Q_x(x), h_k = Q_w(w_k).z/sqrt(d) and h*_n = w*_n.x/sqrt(d),

        yhat = sum_k v_k f(h_k),   y = sum_n v*_n f(h*_n) + noise xi,   delta = yhat - y.

    One step, on B fresh samples, with the straight-through estimator for Q_w:

        w_k <- (1 - learning_rate weight_decay/d) w_k - (learning_rate/sqrt(d)) mean_b[delta v_k f'(h_k) z] s(w_k),

    and if output weights are trained v_k <- v_k - (output_learning_rate/d) mean_b[delta f(h_k)]. Rescaled time is
    tau = step/d.

    Parameters
    ----------
    hidden, teacher_hidden : K and M, from 1 to 64.
    activation : f: "erf", which is erf(x/sqrt(2)), "relu", "linear", or an expression in x, from SymPy or as text, such
        as "tanh(x)".
    activation_surrogate : stands for f' in the backward pass; None: f' itself.
    teacher : law of the teacher's weights, each entry of each unit independent; `teacher_overlap` or `teacher_rows` may
        stand in its place. Without any of the three: Normal(std=1.0).
    teacher_overlap : T = E[w* w*^T], (M, M): weights of a coordinate are Gaussian with this covariance.
    teacher_rows : (atoms, M): the weights of a coordinate are one of these rows, all alike.
    output_weights : v at the start, one number or K of them.
    teacher_output_weights : v*, one number or M of them.
    output_learning_rate : None: v stays as it is; a number > 0 or a `Schedule` of tau: it is trained.
    weight_quantizer : Q_w, a deterministic map.
    input_quantizer : Q_x, deterministic and odd.
    surrogate : s, the surrogate derivative of the weight quantizer.
    init : law of the initial weights, independent of the teacher but for `alignment`.
    alignment : A in w_k(0) = sum_n A_kn w*_n + a draw of init: a matrix (K, M), or a number for A_kk, k up to the
        smaller of K and M. The asymmetry of the start: without it all units have the same law given the teacher.
    learning_rate : eta > 0, or a `Schedule` of tau.
    noise : sigma >= 0 of the labels.
    batch_size : B >= 1, fixed as d grows.
    weight_decay : kappa >= 0 of the latent weights.

    Raises
    ------
    SpecificationError
        If a number is out of its domain, arrays have the wrong shape, an overlap matrix is not symmetric or has a
        negative eigenvalue, the activation has no finite Gaussian moments, a map is random, or inputs are quantized by
        a map that is not odd.
    """

    hidden: int = 2
    teacher_hidden: int = 2
    activation: str | ActivationExpression = "erf"
    activation_surrogate: OutputSurrogate | None = None
    teacher: Law | None = None
    teacher_overlap: tuple | None = None
    teacher_rows: tuple | None = None
    output_weights: float | tuple = 1.0
    teacher_output_weights: float | tuple = 1.0
    output_learning_rate: float | Schedule | None = None
    weight_quantizer: EntrywiseMap = Identity()
    input_quantizer: EntrywiseMap = Identity()
    surrogate: WeightSurrogate = IdentitySurrogate()
    init: Law = Normal(std=1.0)
    alignment: float | tuple = 0.0
    learning_rate: float | Schedule = 0.5
    noise: float = 0.0
    batch_size: int = 1
    weight_decay: float = 0.0

    def __post_init__(self):
        put = functools.partial(object.__setattr__, self)
        put("hidden", check_integer("hidden", self.hidden, 1, MOST_UNITS, "K hidden units of the student."))
        put("teacher_hidden", check_integer("teacher_hidden", self.teacher_hidden, 1, MOST_UNITS, "M of the teacher."))
        put("activation", check_activation(self.activation))
        if self.activation_surrogate is not None:
            check_surrogate("activation_surrogate", self.activation_surrogate, OutputSurrogate)
        self._check_teacher()
        put("output_weights", _numbers("output_weights", self.output_weights, self.hidden))
        put("teacher_output_weights", _numbers("teacher_output_weights", self.teacher_output_weights, self.M))
        self._check_maps()
        for name in ("learning_rate", "output_learning_rate"):
            rate = getattr(self, name)
            if not isinstance(rate, Schedule) and not (rate is None and name == "output_learning_rate"):
                put(name, check_positive(name, rate, "Give a positive finite number, or a Schedule."))
        if not isinstance(self.init, Law) or isinstance(self.init, Paired):
            raise SpecificationError("init", "a law", self.init, "For example Normal(std=0.5).")
        put("alignment", self._alignment())
        put("noise", check_nonnegative("noise", self.noise))
        put("batch_size", check_integer("batch_size", self.batch_size, 1))
        put("weight_decay", check_nonnegative("weight_decay", self.weight_decay))
        if self.weight_decay and isinstance(self.surrogate, ClippedSurrogate):
            remedy = "Decay moves frozen weights back into the band: a sticky boundary, which is not derived."
            raise SpecificationError("weight_decay", "0 with the clipped surrogate", self.weight_decay, remedy)

    def _check_teacher(self) -> None:
        names = ("teacher", "teacher_overlap", "teacher_rows")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise SpecificationError(given[1], "one law of the teacher", " and ".join(given), "Give one of them.")
        if self.teacher is not None and (not isinstance(self.teacher, Law) or isinstance(self.teacher, Paired)):
            raise SpecificationError("teacher", "a law", self.teacher, "For example Normal(std=1.0) or TwoPoint(1.0).")
        if self.teacher_overlap is not None:
            overlap = _matrix("teacher_overlap", self.teacher_overlap, (self.M, self.M))
            if np.abs(overlap - overlap.T).max() > FLAT * np.abs(overlap).max():
                remedy = "It is E[w*_n w*_m]."
                raise SpecificationError("teacher_overlap", "a symmetric matrix", self.teacher_overlap, remedy)
            least, *_, most = np.append(np.linalg.eigvalsh(overlap), 0.0)[[0, -2, -2]]
            if most <= 0 or least < -FLAT * most:
                received = f"one with the eigenvalue {least:.6g}"
                remedy = "A matrix of overlaps of vectors has no negative eigenvalue, and some vector is not zero."
                raise SpecificationError("teacher_overlap", "a positive matrix", received, remedy)
            object.__setattr__(self, "teacher_overlap", _tuples(overlap))
        if self.teacher_rows is not None:
            rows = _matrix("teacher_rows", self.teacher_rows, (None, self.M))
            if not rows.any():
                raise SpecificationError("teacher_rows", "a row that is not zero", "zeros only", "Nothing to learn.")
            object.__setattr__(self, "teacher_rows", _tuples(rows))

    def _check_maps(self) -> None:
        for name in ("weight_quantizer", "input_quantizer"):
            value = getattr(self, name)
            if not isinstance(value, EntrywiseMap) or isinstance(value, StochasticMap):
                remedy = "For example Uniform(bits=2, range=2.0); random maps are derived for steode.LinearModel alone."
                raise SpecificationError(name, "a deterministic entrywise map", value, remedy)
        check_surrogate("surrogate", self.surrogate, WeightSurrogate)
        if not self.input_quantizer.is_odd:
            remedy = "With a mean E[Q(x)] != 0 coordinates couple at order 1 and the limit does not hold."
            raise SpecificationError("input_quantizer", "an odd map, Q(-x) = -Q(x)", self.input_quantizer, remedy)

    def _alignment(self) -> float | tuple:
        if np.ndim(self.alignment) == 0:
            return float(check_array("alignment", self.alignment, any_shape=True)[0])
        return _tuples(_matrix("alignment", self.alignment, (self.hidden, self.M)))

    @property
    def M(self) -> int:
        """Number of the teacher's units."""
        return self.teacher_hidden

    @property
    def mixing(self) -> np.ndarray:
        """A of the start, (K, M)."""
        if isinstance(self.alignment, tuple):
            return np.array(self.alignment)
        return self.alignment * np.eye(self.hidden, self.M)

    @property
    def readout(self) -> np.ndarray:
        """v at the start, (K,)."""
        return np.broadcast_to(np.asarray(self.output_weights, float), (self.hidden,)).copy()

    @property
    def teacher_readout(self) -> np.ndarray:
        """v* of the teacher, (M,)."""
        return np.broadcast_to(np.asarray(self.teacher_output_weights, float), (self.M,)).copy()

    @property
    def quantizes_weights(self) -> bool:
        """False if Q_w is the identity."""
        return not isinstance(self.weight_quantizer, Identity)

    @property
    def has_exact_order_parameters(self) -> bool:
        """True if the overlaps obey closed equations: weights that are neither quantized nor frozen."""
        return not self.quantizes_weights and isinstance(self.surrogate, IdentitySurrogate)

    def replace(self, **changes) -> "CommitteeModel":
        """A copy with some fields changed, validated anew; a new law of the teacher takes the place of the old one."""
        names = ("teacher", "teacher_overlap", "teacher_rows")
        if any(changes.get(name) is not None for name in names):
            changes = dict.fromkeys(names) | changes
        return dataclasses.replace(self, **changes)

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)
        given = [f"{f.name}={getattr(self, f.name)!r}" for f in fields if getattr(self, f.name) != f.default]
        return f"CommitteeModel({', '.join(given)})"


def check_model(model) -> None:
    """Raise `SpecificationError` unless `model` is a `CommitteeModel`."""
    if not isinstance(model, CommitteeModel):
        raise SpecificationError("model", "a CommitteeModel", model, "See steode.committee.CommitteeModel.")


def _numbers(argument: str, value, count: int) -> float | tuple:
    """One number, or a tuple of `count`."""
    array = check_array(argument, value, any_shape=np.ndim(value) == 0)
    if np.ndim(value) == 0:
        return float(array[0])
    if array.size != count:
        raise SpecificationError(argument, f"one number, or {count}", f"{array.size} numbers", "One for each unit.")
    return tuple(array.tolist())


def _matrix(argument: str, value, shape: tuple) -> np.ndarray:
    rows = "n" if shape[0] is None else shape[0]
    expected, remedy = f"a matrix of shape ({rows}, {shape[1]})", "Columns belong to the teacher's units."
    try:
        found = np.shape(value)
    except ValueError:
        raise SpecificationError(argument, expected, value, remedy) from None
    if len(found) != 2 or found[1] != shape[1] or shape[0] not in (None, found[0]):
        raise SpecificationError(argument, expected, f"shape {found}", remedy)
    return check_array(argument, value, any_shape=True).reshape(found)


def _tuples(matrix: np.ndarray) -> tuple:
    return tuple(tuple(row) for row in matrix.tolist())


__all__ = ["KNOWN", "CommitteeModel", "check_model"]
