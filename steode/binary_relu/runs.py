"""What `descend` and `simulate` return: runs of coarse-gradient descent in discrete steps."""

import dataclasses

import numpy as np

from steode.systems.binary_relu.spec import BinaryReLUModel


@dataclasses.dataclass(frozen=True, eq=False)
class CoarseRuns:
    """Runs from K starts; simulations have a leading axis of seeds.

    Attributes
    ----------
    model : the specification.
    method : "population", "online" or "batch".
    steps : (T,) numbers of steps; `times` is steps times step size.
    theta, length : (..., K, T); v : (..., K, T, m).
    loss : (..., K, T) for "population", else (..., K): at the end, on fresh samples.
    loss_error : its standard error, None for "population".
    """

    model: BinaryReLUModel
    method: str
    steps: np.ndarray
    theta: np.ndarray
    length: np.ndarray
    v: np.ndarray
    loss: np.ndarray
    loss_error: np.ndarray | None = None

    @property
    def times(self) -> np.ndarray:
        """Time of the flow, (T,)."""
        return self.steps * self.model.step

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.theta.shape[:-1]))
        how = f"{self.method}, {self.model.surrogate.name}"
        return f"Coarse-gradient descent ({how}): {shape} runs, {self.steps[-1]} steps"
