"""What `advise` returns: predictions for a given length of training, each with what it rests on."""

import dataclasses

import numpy as np

from steode.systems.layer.optimal_range import LayerRanges
from steode.systems.layer.results import table
from steode.systems.layer.spec import LayerModel


@dataclasses.dataclass(frozen=True)
class Finding:
    """One sentence of advice.

    Attributes
    ----------
    name : what it is about.
    statement : the sentence, with its number.
    value : the number.
    basis : what it rests on and how sure it is.
    """

    name: str
    statement: str
    value: float
    basis: str


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LayerAdvice:
    """Advice for training a layer for a number of steps.

    Attributes
    ----------
    model : the specification, with the rows that were looked at.
    chosen : their numbers in the layer, from 0, (rows,).
    steps : SGD steps.
    errors : method -> (mean V of a row, standard error), best first.
    ranges : the scan of ranges of these rows.
    findings : sentences, each with its number and what it rests on.
    notes : what the predictions leave out that is not small here.
    """

    model: LayerModel
    chosen: np.ndarray
    steps: int
    errors: dict[str, tuple[float, float]]
    ranges: LayerRanges
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> Finding:
        """The finding of this name; KeyError if there is none."""
        return {finding.name: finding for finding in self.findings}[name]

    def __repr__(self) -> str:
        rows = [[name, value, error, BASES[name]] for name, (value, error) in self.errors.items()]
        lines = [
            f"Advice for {self.steps} steps (tau = {self.steps / self.model.dim:.3g}) of {self.model}",
            table(["method", "mean V", "error", "rests on"], rows),
            *(f"{finding.statement} [{finding.basis}]" for finding in self.findings),
            *(f"NOTE: {note}" for note in self.notes),
        ]
        return "\n".join(lines)


BASES = {
    "nearest": "exact for this second moment",
    "gptq": "exact for this second moment",
    "last iterate": "runs of this length",
    "mean of iterates, rounded": "runs of this length",
    "frozen": "runs of this length",
    "dampened": "runs of this length",
    "last iterate, late": "fixed point of the limit; error 1/sqrt(d_eff rows)",
}
"""Method -> what its number rests on."""
