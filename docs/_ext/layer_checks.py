"""The check of the derivation of a layer: its fixed point against training."""

import numpy as np
import scipy.linalg
from checks import _axes

from steode import fixed_points, simulate

DIM, ROWS, SEEDS, END = 300, 4, 4, 600.0
WEIGHTS = np.random.default_rng(13).normal(size=(ROWS, DIM)).clip(-1.8, 1.8)
MOMENT = scipy.linalg.toeplitz(0.8 ** np.arange(DIM))


def runs(model):
    """V over time, the mean of all rows, and the fixed point."""
    found = fixed_points(model)
    trained = simulate(model, END, seeds=SEEDS, times=np.linspace(0, END, 301))
    figure, ax = _axes()
    for seed in range(SEEDS):
        ax.plot(trained.times, trained["V"][seed].mean(axis=-1), color="C0", alpha=0.5, lw=0.8)
    ax.axhline(found.V.mean(), color="C1")
    ax.set_xlabel(r"rescaled time $\tau$")
    ax.set_ylabel(r"$V$, mean of the rows")
    late = trained["V"][:, trained.times > END / 2].mean(axis=(1, 2))
    error = late.std(ddof=1) / np.sqrt(SEEDS)
    return figure, (
        f"Thin lines are {SEEDS} runs of {ROWS} rows in dimension {DIM}, on inputs that are an autoregressive "
        f"sequence, started at the trained weights; the straight one is the fixed point. In the second half runs are "
        f"at {late.mean():.4f} with a standard error of {error:.4f}, the fixed point at {found.V.mean():.4f}; what "
        f"the limit leaves out is of relative size {100 / found.effective_dimension**0.5:.0f} percent for one row."
    )
