"""Specification of a layer whose weights are quantized in the basis in which its inputs are correlated."""

import dataclasses
import functools

import numpy as np

from steode.errors import (
    LARGEST,
    SpecificationError,
    check_integer,
    check_nonnegative,
    check_positive,
)
from steode.parts.quantizers import EntrywiseMap, Identity
from steode.systems.layer import input_moments, ranges
from steode.systems.layer.grids import Grid, check_bits

ASYMMETRY = 1e-6
"""Largest difference of K from its transpose, in parts of its largest entry, that is rounding."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LayerModel:
    """A linear layer trained with the straight-through estimator towards its own weights before quantization.

    Labels are y = W* x/sqrt(d) + noise xi for every row of the layer. One step, on a batch of B inputs x with images
    z = Q_x(x), takes

        W <- W - learning_rate/(sqrt(d) B) sum_b (yhat_b - y_b) z_b^T,   yhat = Q(W) z/sqrt(d),

    for all rows at once: the gradient of the mean over the batch of (yhat - y)^2/2. `from_training_units` converts a
    layer without the 1/sqrt(d). Rescaled time is tau = step/d. What is predicted is, for each row,
    V = E(yhat - y)^2.

    Parameters
    ----------
    weights : W*, shape (rows, d).
    activations : inputs, shape (n, d), one sample a row; centered or not. n < d is allowed, see `damping`.
    second_moment : K = E[x x^T], shape (d, d), symmetric, without negative eigenvalues: in place of activations.
    bits, kind : of the weights' grid: "mid-rise" or "mid-tread" (as `Uniform`), "signed" (as `SignedInteger`), or
        "asymmetric", 2^bits levels with zero among them.
    range : outermost level of the grid: a number, an array (rows,) or (rows, groups), with an axis of two ends more for
        asymmetric grids; or a rule: "largest", "percentile", "mean square", "weighted mean square" (by K_ii).
    granularity : what shares a range: "row", "layer", or a number of neighboring columns that divides d.
    percentile : of the magnitudes, for the rule of this name.
    learning_rate : eta > 0, constant.
    batch_size : B >= 1.
    noise : standard deviation sigma >= 0 of the labels' noise.
    input_quantizer : Q_x, any entrywise map with activations; the identity or a step function with a second moment.
    initial : latent weights at the start, shape (rows, d); None: the weights themselves.
    damping : added to the diagonal of K, in parts of its mean, >= 0. None: nothing, or 1e-3 where K is singular, as it
        is for n < d; `inputs.damping` and the text of the model say so. Runs on activations are not damped.

    Raises
    ------
    SpecificationError
        If a number is out of its domain, an array holds NaN or infinite numbers, shapes do not match, K is not
        symmetric or has negative eigenvalues, or groups do not divide d.
    UnsupportedError
        For a smooth input quantizer without activations.
    """

    weights: np.ndarray
    _: dataclasses.KW_ONLY
    activations: np.ndarray | None = None
    second_moment: np.ndarray | None = None
    bits: int
    kind: str = "mid-tread"
    range: float | str | np.ndarray = "largest"
    granularity: str | int = "row"
    percentile: float = 99.9
    learning_rate: float
    batch_size: int = 1
    noise: float = 0.0
    input_quantizer: EntrywiseMap = Identity()
    initial: np.ndarray | None = None
    damping: float | None = None

    def __post_init__(self):
        weights = _matrix("weights", self.weights)
        object.__setattr__(self, "weights", weights)
        self._check_inputs(weights.shape[1])
        object.__setattr__(self, "bits", check_bits(self.bits, self.kind))
        object.__setattr__(self, "learning_rate", check_positive("learning_rate", self.learning_rate))
        object.__setattr__(self, "batch_size", check_integer("batch_size", self.batch_size, 1))
        object.__setattr__(self, "noise", check_nonnegative("noise", self.noise))
        if not isinstance(self.input_quantizer, EntrywiseMap):
            raise SpecificationError("input_quantizer", "an entrywise map", self.input_quantizer, "For example Sign().")
        if self.initial is not None:
            initial = _matrix("initial", self.initial)
            if initial.shape != weights.shape:
                expected, received = f"shape {weights.shape}", f"shape {initial.shape}"
                raise SpecificationError("initial", expected, received, "One number for each weight.")
            object.__setattr__(self, "initial", initial)
        if self.damping is not None:
            object.__setattr__(self, "damping", check_nonnegative("damping", self.damping))
        # both are part of the specification: what makes no sense in them is refused now
        object.__setattr__(self, "grid", self._grid())

    def _check_inputs(self, dim: int) -> None:
        if (self.activations is None) == (self.second_moment is None):
            given = "neither" if self.activations is None else "both"
            remedy = "Give inputs, or their second moment E[x x^T]."
            raise SpecificationError("activations", "either activations or second_moment", given, remedy)
        name = "second_moment" if self.activations is None else "activations"
        array = _matrix(name, getattr(self, name))
        if array.shape[1] != dim or (name == "second_moment" and array.shape[0] != dim):
            expected = f"shape ({dim}, {dim})" if name == "second_moment" else f"shape (n, {dim})"
            remedy = f"Weights have shape {self.weights.shape}: one column for each input."
            raise SpecificationError(name, expected, f"shape {array.shape}", remedy)
        if name == "second_moment":
            gap = np.abs(array - array.T).max()
            if gap > ASYMMETRY * np.abs(array).max():
                remedy = "E[x x^T] is symmetric; for a matrix of samples use activations."
                raise SpecificationError(name, "a symmetric matrix", f"entries differing by {gap:.3g}", remedy)
            array = _frozen((array + array.T) / 2)
        object.__setattr__(self, name, array)

    def _grid(self) -> Grid:
        importance = np.diag(self.inputs.image)
        chosen = self.range, self.bits, self.kind, self.granularity, self.percentile
        return ranges.make_grid(self.weights, importance, *chosen)

    @functools.cached_property
    def inputs(self) -> input_moments.InputMoments:
        """Second moments of inputs and images, with the damping."""
        if self.activations is not None:
            moments = input_moments.of_activations(self.activations, self.input_quantizer)
        else:
            moments = input_moments.of_gaussian(self.second_moment, self.input_quantizer)
        return input_moments.damped(moments, self.damping, self.rank)

    @property
    def rank(self) -> int:
        """The largest rank that K can have: d, or the number of activations."""
        return self.dim if self.activations is None else min(self.dim, self.activations.shape[0])

    @property
    def rows(self) -> int:
        """Number of outputs."""
        return self.weights.shape[0]

    @property
    def dim(self) -> int:
        """Number of inputs d."""
        return self.weights.shape[1]

    @property
    def quantizes_inputs(self) -> bool:
        """False if Q_x is the identity."""
        return not isinstance(self.input_quantizer, Identity)

    @property
    def start(self) -> np.ndarray:
        """Latent weights at the start, shape (rows, d)."""
        return self.weights if self.initial is None else self.initial

    def replace(self, **changes) -> "LayerModel":
        """A copy with some fields changed, validated anew."""
        return dataclasses.replace(self, **changes)

    def __repr__(self) -> str:
        inputs = "a second moment" if self.activations is None else f"{self.activations.shape[0]} activations"
        scale = self.range if isinstance(self.range, str) else "given"
        text = f"LayerModel({self.rows} x {self.dim} weights, {inputs}, {self.bits} bits {self.kind}, range {scale} "
        text += f"per {self.granularity}, eta = {self.learning_rate:g}, B = {self.batch_size}, sigma = {self.noise:g}"
        damping = self.inputs.damping
        return text + (f"; K damped by {damping:.3g})" if damping else ")")


def check_model(model) -> None:
    """Raise `SpecificationError` unless `model` is a `LayerModel`."""
    if not isinstance(model, LayerModel):
        raise SpecificationError("model", "a LayerModel", model, "See steode.layer.LayerModel.")


def _matrix(name: str, values) -> np.ndarray:
    """A read-only copy with two axes of finite numbers; float32 stays float32 in activations."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu" or array.ndim != 2 or not array.size:
        received = f"shape {array.shape} of {array.dtype}"
        raise SpecificationError(name, "a matrix of real numbers", received, "Two axes, neither of them empty.")
    keep = name == "activations" and array.dtype == np.float32
    array = np.array(array, dtype=np.float32 if keep else float)
    # single precision ends before the bound does
    bad = ~(np.abs(array) <= min(LARGEST, float(np.finfo(array.dtype).max)))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        received = f"{array[row, column]} at [{row}, {column}]"
        raise SpecificationError(name, f"numbers of magnitude at most {LARGEST:g}", received, "Remove or replace it.")
    return _frozen(array)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
