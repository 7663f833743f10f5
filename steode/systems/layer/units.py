"""From the units of a training script to those of the equations."""

import numpy as np

from steode.errors import SpecificationError, check_positive
from steode.systems.layer.spec import LayerModel


def from_training_units(
    weights,
    *,
    learning_rate: float,
    activations=None,
    second_moment=None,
    loss: str = "mean square",
    over_outputs: str = "mean",
    **options,
) -> LayerModel:
    """The `LayerModel` of a layer trained as scripts train it: y = W x without 1/sqrt(d), plain SGD.

    With x = sqrt(d) x_own both have the same outputs, and V is the mean square of an output's error in the script's own
    units. The loss of one output has the gradient c (yhat - y) x_own, so that

        eta = c * learning_rate,

    with c = 2 for the mean square and 1 for half of it, divided by the number of rows where the loss is a mean over the
    outputs too. One unit of rescaled time is d steps.

    Parameters
    ----------
    weights : (rows, d).
    learning_rate : of the script's SGD.
    activations, second_moment : of the layer's inputs as the script sees them, (n, d) or (d, d).
    loss : "mean square" for (yhat - y)^2, "half mean square" for (yhat - y)^2/2; a mean over the batch either way.
    over_outputs : "mean" where the loss is averaged over outputs as well (`torch.nn.MSELoss`), "sum" where it is not.
    options : further fields of `LayerModel`; `noise` is in units of the outputs.

    Raises
    ------
    SpecificationError
        If a choice is none of these, or as `LayerModel`.
    """
    known = {"loss": ("mean square", "half mean square"), "over_outputs": ("mean", "sum")}
    for (name, choices), value in zip(known.items(), (loss, over_outputs), strict=True):
        if value not in choices:
            raise SpecificationError(name, " or ".join(f'"{choice}"' for choice in choices), value, "See its loss.")
    rate = check_positive("learning_rate", learning_rate) * (2 if loss == "mean square" else 1)
    shape = np.shape(weights)
    if len(shape) != 2 or 0 in shape:
        raise SpecificationError("weights", "a matrix of real numbers", f"shape {shape}", "One row for each output.")
    rate = rate / shape[0] if over_outputs == "mean" else rate
    if activations is not None:
        activations = np.asarray(activations) * np.sqrt(shape[1])
    if second_moment is not None:
        second_moment = np.asarray(second_moment) * shape[1]
    return LayerModel(weights, activations=activations, second_moment=second_moment, learning_rate=rate, **options)
