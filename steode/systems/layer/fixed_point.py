"""What `fixed_points` of a layer returns."""

import dataclasses

import numpy as np

from steode.systems.layer.results import table
from steode.systems.layer.spec import LayerModel

FEW = 30.0
"""Effective dimensions below which V fluctuates so much that the limit is not to be trusted."""
FAST = 0.1
"""eta lambda_max/d above which one step moves the largest mode too far for the limit."""


class LayerWarning(UserWarning):
    """Something that the limit of a layer leaves out, and that is not small here."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LayerFixedPoints:
    """Where training ends, row by row.

    Attributes
    ----------
    model : the specification.
    V : residual variance E(yhat - y)^2 at the largest root, (rows,); `smallest` at the smallest.
    unique : where the two are one and nothing else is possible, (rows,); complete : where nothing else is possible.
    dithering, clipping, input_term : with sigma^2 the parts of V, (rows,): weights moving between levels; targets
        outside the range, after the others have taken over what they can; inputs rounded.
    best : mean quantized weights, (rows, d).
    clipped : share of weights whose target is outside the range, (rows,).
    resting : share of weights that stay at an outermost level, (rows,).
    effective_dimension : d_eff = (tr K_q)^2/tr K_q^2; what is left out is of the relative size 1/sqrt(d_eff).
    eigenvalues : the smallest and the largest of K_q.
    """

    model: LayerModel
    V: np.ndarray
    smallest: np.ndarray
    unique: np.ndarray
    complete: np.ndarray
    dithering: np.ndarray
    clipping: np.ndarray
    input_term: np.ndarray
    best: np.ndarray
    clipped: np.ndarray
    resting: np.ndarray
    effective_dimension: float
    eigenvalues: tuple[float, float]

    @property
    def total(self) -> float:
        """V summed over rows."""
        return float(self.V.sum())

    @property
    def largest_step(self) -> float:
        """eta lambda_max/d, what one step moves of the largest mode."""
        return self.model.learning_rate * self.eigenvalues[1] / self.model.dim

    @property
    def relaxation(self) -> tuple[float, float]:
        """1/(eta lambda) of the fastest and of the slowest mode, in rescaled time tau = step/d."""
        return tuple(1 / (self.model.learning_rate * value) for value in reversed(self.eigenvalues))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the limit leaves out that is not small here."""
        found = []
        model = self.model
        if model.rank < model.dim:
            found.append(
                f"{model.rank} activations for {model.dim} inputs: in training the weights move only in the span of "
                "these samples; the fixed points are those of K damped, reached from any start."
            )
        elif model.inputs.damping and model.damping is None:
            found.append(f"K is singular: {model.inputs.damping:.3g} was added to its diagonal.")
        if self.effective_dimension < FEW:
            size = 100 / np.sqrt(self.effective_dimension)
            found.append(
                f"effective dimension {self.effective_dimension:.3g} of {model.dim}: V fluctuates by about {size:.0f} "
                "%, and the limit is off by as much."
            )
        if self.largest_step > FAST:
            found.append(
                f"eta lambda_max/d = {self.largest_step:.3g}: steps are too large for the limit, V will be higher."
            )
        if not np.all(self.unique):
            count = np.count_nonzero(~self.unique)
            found.append(f"{count} rows have several fixed points, or may have; V is the largest of each.")
        return tuple(found)

    def __repr__(self) -> str:
        sigma = np.full(self.model.rows, self.model.noise**2)
        parts = [
            ("V", self.V),
            ("dithering", self.dithering),
            ("clipping", self.clipping),
            ("input term", self.input_term),
            ("label noise", sigma),
            ("share clipped", self.clipped),
        ]
        rows = [
            [name, values.sum() if k < 5 else np.nan, values.min(), np.median(values), values.max()]
            for k, (name, values) in enumerate(parts)
        ]
        rows[-1][1] = float(self.clipped.mean())
        fast, slow = self.relaxation
        lines = [
            f"Fixed points of {self.model}",
            table(["", "sum (share: mean)", "least", "median", "largest"], rows),
            f"effective dimension {self.effective_dimension:.4g} of {self.model.dim}: what is left out is of the size "
            f"{100 / np.sqrt(self.effective_dimension):.1f} %",
            f"eta lambda_max/d = {self.largest_step:.3g}; modes relax in tau = {fast:.3g} to {slow:.3g}",
            *(f"NOTE: {note}" for note in self.notes),
        ]
        return "\n".join(lines)
