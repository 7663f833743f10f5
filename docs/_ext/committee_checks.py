"""The check of the derivation of committee machines: the overlaps against training."""

import numpy as np
from checks import _axes

from steode import compare, simulate, solve

DIM, SEEDS, END = 500, 8, 12.0


def runs(model):
    """The error over time, limit and runs."""
    times = np.linspace(0, END, 25)
    exact = model.has_exact_order_parameters
    theory = solve(model, END, times=times, **({} if exact else {"count": 4000, "tolerance": 0.05}))
    trained = simulate(model, DIM, END, seeds=SEEDS, times=times)
    figure, ax = _axes()
    for seed in range(SEEDS):
        ax.plot(trained.times, trained["eps_g"][seed], color="C0", alpha=0.4, lw=0.8)
    ax.plot(theory.times, theory["eps_g"], color="C1")
    ax.set(yscale="log", xlabel=r"rescaled time $\tau$", ylabel=r"$\varepsilon_g$")
    found = compare(theory, trained)
    what = "the exact equations of the overlaps" if exact else "particles with the derived force"
    return figure, (
        f"Thin lines are {SEEDS} runs in dimension {DIM}, the thick one is {what}. The mean of the runs is within "
        f"{found.largest_z:.1f} standard errors at all {times.size} times."
    )
