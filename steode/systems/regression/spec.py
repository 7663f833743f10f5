"""Specification of linear regression trained by SGD whose data, labels, weights, activations and gradients are
quantized.
"""

import dataclasses
import pathlib

import numpy as np

from steode.errors import SpecificationError, check_array, check_integer, check_nonnegative, check_positive
from steode.parts.laws import Constant, Empirical
from steode.parts.quantizers import EntrywiseMap, Identity, StepFunction
from steode.parts.spectrum import Eigenvalues, Isotropic, Spectrum
from steode.parts.stochastic import StochasticMap

ROLES = ("data", "label", "parameter", "activation", "gradient")
"""What is quantized in one step, in the order of the forward and backward pass."""

Given = float | Empirical | Constant


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegressionModel:
    """SGD for linear regression in finite dimension d, with five quantizers and a full-precision accumulator.

    Inputs x ~ N(0, diag(lambda)), labels y = w*.x + noise * xi. One step on a fresh batch X of shape (B, d):

        w <- w + (step_size/B) Q_d(X)^T Q_o( Q_l(y) - Q_a( Q_d(X) Q_p(w) ) ).

    The quantizers are drawn anew in every step, independently of each other. `CommonFactor` has one factor for each
    sample where it acts on the data, and one for the whole batch where it acts on labels, activations or gradients.
    Source of the update: Zhang, Su, Zou (arXiv 2510.18259).

    Parameters
    ----------
    spectrum : `PowerLaw(exponent, count)`, `Eigenvalues(array or .npy path)`, or an array of positive eigenvalues
        lambda, shape (d,). Its length is the dimension.
    teacher : w*: a number for all coordinates, an array (d,), or the path of a .npy file.
    step_size : gamma > 0, constant. Beyond stability the risk grows without bound, and results say so.
    noise : label-noise standard deviation sigma >= 0.
    batch_size : B >= 1.
    data_quantizer, label_quantizer, parameter_quantizer, activation_quantizer, gradient_quantizer : Q_d, Q_l, Q_p, Q_a,
        Q_o, each `Identity`, `AdditiveNoise`, `MultiplicativeNoise` or `CommonFactor`; for simulations also a step
        function, rounding to nearest, or `StochasticRounding` on one.
    average_fraction : in (0, 1]: of N steps the last round(average_fraction * N) iterates before the final one are
        averaged; 1 averages w_0, ..., w_{N-1}.
    init : w_0, given like the teacher.

    Raises
    ------
    SpecificationError
        If a number is out of its domain, an array does not have d entries, an eigenvalue is not positive, or a map is
        not one of the quantizers above.
    """

    spectrum: Spectrum
    teacher: Given = 1.0
    step_size: float
    noise: float = 1.0
    batch_size: int = 1
    data_quantizer: EntrywiseMap = Identity()
    label_quantizer: EntrywiseMap = Identity()
    parameter_quantizer: EntrywiseMap = Identity()
    activation_quantizer: EntrywiseMap = Identity()
    gradient_quantizer: EntrywiseMap = Identity()
    average_fraction: float = 1.0
    init: Given = 0.0

    def __post_init__(self):
        object.__setattr__(self, "spectrum", _spectrum(self.spectrum))
        object.__setattr__(self, "step_size", check_positive("step_size", self.step_size))
        object.__setattr__(self, "noise", check_nonnegative("noise", self.noise))
        object.__setattr__(self, "batch_size", check_integer("batch_size", self.batch_size, 1))
        fraction = check_positive("average_fraction", self.average_fraction, "Give a number in (0, 1].")
        if fraction > 1:
            remedy = "1 averages all iterates, 0.5 the second half of them."
            raise SpecificationError("average_fraction", "a number in (0, 1]", fraction, remedy)
        object.__setattr__(self, "average_fraction", fraction)
        for name in ("teacher", "init"):
            object.__setattr__(self, name, _weights(name, getattr(self, name), self.dim))
        for role, quantizer in self.quantizers.items():
            if not isinstance(quantizer, Identity | StochasticMap | StepFunction):
                expected = "Identity(), a noise model, StochasticRounding or a step function"
                remedy = "For example AdditiveNoise(0.01)."
                raise SpecificationError(f"{role}_quantizer", expected, quantizer, remedy)

    @property
    def dim(self) -> int:
        """Input dimension d."""
        return self.spectrum.values.size

    @property
    def eigenvalues(self) -> np.ndarray:
        """Variances of the input coordinates, shape (d,)."""
        return self.spectrum.values

    @property
    def teacher_weights(self) -> np.ndarray:
        """w*, shape (d,)."""
        return _array(self.teacher, self.dim)

    @property
    def initial_weights(self) -> np.ndarray:
        """w_0, shape (d,)."""
        return _array(self.init, self.dim)

    @property
    def quantizers(self) -> dict[str, EntrywiseMap]:
        """Role -> quantizer, for each of ROLES."""
        return {role: getattr(self, f"{role}_quantizer") for role in ROLES}

    def averaged_from(self, steps: int) -> int:
        """Number of the first iterate in the average of a run of `steps` steps."""
        return steps - max(1, round(self.average_fraction * steps))

    def replace(self, **changes) -> "RegressionModel":
        """A copy with some fields changed, validated anew."""
        return dataclasses.replace(self, **changes)


def check_model(model) -> None:
    """Raise `SpecificationError` unless `model` is a `RegressionModel`."""
    if not isinstance(model, RegressionModel):
        raise SpecificationError("model", "a RegressionModel", model, "See steode.systems.regression.RegressionModel.")


def _spectrum(given) -> Spectrum:
    if isinstance(given, Isotropic):
        remedy = "The spectrum says the dimension: give numpy.ones(d)."
        raise SpecificationError("spectrum", "as many eigenvalues as dimensions", given, remedy)
    if isinstance(given, Spectrum):
        return given
    return Eigenvalues(given)


def _weights(name: str, given, dim: int) -> Constant | Empirical:
    if isinstance(given, Constant):
        return given
    if isinstance(given, str | pathlib.Path | Empirical):
        law = given if isinstance(given, Empirical) else Empirical(given)
    elif isinstance(given, list | tuple) or np.ndim(given):
        law = Empirical(check_array(name, given))
    else:
        return Constant(given)
    if law.values.size != dim:
        remedy = "One number for each eigenvalue, or one number for all."
        raise SpecificationError(name, f"{dim} numbers", f"{law.values.size} numbers", remedy)
    return law


def _array(law: Constant | Empirical, dim: int) -> np.ndarray:
    return np.full(dim, law.value) if isinstance(law, Constant) else law.values
