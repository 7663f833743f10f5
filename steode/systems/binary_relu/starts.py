"""Starting points: output weights v, length |w| and angle theta, one for each run."""

import dataclasses

import numpy as np

from steode.errors import SpecificationError, check_integer
from steode.systems.binary_relu.spec import BinaryReLUModel


@dataclasses.dataclass(frozen=True, eq=False)
class Starts:
    """`v` (K, m), `length` (K,) > 0 and `theta` (K,) in [0, pi]."""

    v: np.ndarray
    length: np.ndarray
    theta: np.ndarray

    def __len__(self) -> int:
        return self.theta.size

    def filters(self, model: BinaryReLUModel) -> np.ndarray:
        """w of shape (K, n) with these lengths and angles to w*, in one plane through w*."""
        across = np.eye(model.filter_size)[np.argmin(np.abs(model.w_star))]
        across = across - (across @ model.w_star) * model.w_star
        across /= np.linalg.norm(across)
        turned = np.cos(self.theta)[:, None] * model.w_star + np.sin(self.theta)[:, None] * across
        return self.length[:, None] * turned


def starts(model: BinaryReLUModel, v, theta, length=1.0) -> Starts:
    """Starting points from arrays that broadcast against each other.

    Parameters
    ----------
    model : the specification, for m.
    v : output weights, shape (m,) or (K, m).
    theta : angle between w and w* in [0, pi], a number or shape (K,).
    length : |w| > 0, a number or shape (K,).

    Raises
    ------
    SpecificationError
        If a shape does not fit, or a number is out of its domain.
    """
    try:
        v, theta, length = (np.asarray(given, dtype=float) for given in (v, theta, length))
        count = np.broadcast_shapes(v.shape[:-1], theta.shape, length.shape, (1,))
    except (TypeError, ValueError):
        remedy = "Give v of shape (m,) or (K, m), theta and length as numbers or (K,)."
        raise SpecificationError("v, theta, length", "arrays that broadcast", (v, theta, length), remedy) from None
    if v.ndim not in (1, 2) or v.shape[-1] != model.rows or len(count) != 1:
        remedy = "The model's rows are the entries of v."
        raise SpecificationError("v", f"shape ({model.rows},) or (K, {model.rows})", v.shape, remedy)
    if not np.all(np.isfinite(v)):
        raise SpecificationError("v", "finite numbers", v, "Remove NaN and infinity.")
    if not np.all((theta >= 0) & (theta <= np.pi)):
        raise SpecificationError("theta", "angles between 0 and pi", theta, "The angle between two vectors.")
    if not np.all((length > 0) & np.isfinite(length)):
        raise SpecificationError("length", "lengths > 0", length, "At w = 0 no unit is on and there is no direction.")
    return Starts(
        *(
            np.broadcast_to(given, shape)
            for given, shape in ((v, (*count, model.rows)), (length, count), (theta, count))
        )
    )


def random_starts(model: BinaryReLUModel, count: int, *, key: int = 0, spread: float = 1.0) -> Starts:
    """`count` starts with v ~ N(0, spread^2), theta uniform in [0, pi] and |w| = 1."""
    count = check_integer("count", count, 1)
    generator = np.random.default_rng(key)
    v = spread * generator.standard_normal((count, model.rows))
    return Starts(v, np.ones(count), generator.uniform(0, np.pi, count))
