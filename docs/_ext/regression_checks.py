"""The check of the derivation of quantized regression: exact risk against simulated runs."""

import numpy as np
from checks import _axes

from steode import regression
from steode.plot.regression import regression_risk

STEPS, SEEDS = 600, 200
CURVES = {"raw_last": "last iterate", "raw_average": "average"}


def risk(model):
    """Risk on raw inputs, last iterate and average, with the largest score over the steps shown."""
    record = np.unique(np.geomspace(1, STEPS, 10).round().astype(int))
    exact = regression.risk(model, STEPS)
    runs = regression.simulate(model, STEPS, seeds=SEEDS, record=record)
    at_record = regression.risk(model, STEPS, record=record)
    figure, ax = _axes()
    for color, (quantity, label) in enumerate(CURVES.items()):
        regression_risk(exact, runs, quantity=quantity, label=label, color=color, ax=ax)
    ax.set_ylabel("risk on raw inputs")
    scores = {label: regression.compare(at_record, runs, quantity).largest_z for quantity, label in CURVES.items()}
    table = ", ".join(f"{label} {score:.2f}" for label, score in scores.items())
    return figure, (
        f"Lines are the recursion, points the mean of {SEEDS} runs in dimension {model.dim} with two standard errors. "
        f"Largest deviation in standard errors: {table}."
    )
