"""Runs and particles against the density, of error and range: what tests of rules and ranges share."""

import numpy as np

from steode import simulate, solve


def assert_runs_follow(model):
    """Error, and range where there is one, of runs in two dimensions against the limit."""
    limit = solve(model, 8.0, times=[1.0, 3.0, 8.0], tolerance=1e-3)
    for dim, seeds in ((400, 24), (1600, 12)):
        runs = simulate(model, dim, 8.0, seeds=seeds, times=[1.0, 3.0, 8.0], key=7)
        for observable in ["eps_g"] + ["range"] * ("range" in limit.observables):
            values = runs[observable]
            gap = values.mean(axis=0) - np.interp(runs.times, limit.times, limit[observable])
            # beside the scatter of the seeds a run is O(1/d) away from the limit
            error = values.std(axis=0, ddof=1) / np.sqrt(seeds) + 3 * limit[observable].max() / dim
            assert np.all(np.abs(gap) < 4 * error), (observable, dim, gap / error)


def assert_particles_agree(model):
    """The same of particles against the density."""
    exact, drawn = (solve(model, 4.0, times=[1.0, 4.0], method=method) for method in ("density", "particles"))
    for observable in ["eps_g"] + ["range"] * ("range" in exact.observables):
        gap = np.abs(drawn[observable] - exact[observable])
        assert np.all(gap < 4 * drawn.error[observable] + 2e-3 * exact[observable])
