"""A few rows of a layer, for what is trained: rows are independent of each other."""

import numpy as np

from steode.systems.layer.grids import ladder
from steode.systems.layer.spec import LayerModel

ROWS = 16
"""Rows looked at unless more are asked for."""


def some_rows(model: LayerModel, rows: int) -> tuple[np.ndarray, LayerModel]:
    """Numbers of at most so many rows, equally spaced, and the layer of these, on the grids they have in it."""
    chosen = np.unique(np.linspace(0, model.rows - 1, min(rows, model.rows)).round().astype(int))
    grid = model.grid
    if model.kind == "asymmetric":
        given = np.stack([grid.low, grid.high], axis=-1)[chosen]
    else:
        given = (grid.step / ladder(model.bits, model.kind)[1])[chosen]
    granularity = "row" if model.granularity == "layer" else model.granularity
    initial = None if model.initial is None else model.initial[chosen]
    return chosen, model.replace(weights=model.weights[chosen], range=given, granularity=granularity, initial=initial)
