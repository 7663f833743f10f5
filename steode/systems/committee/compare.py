"""The verbs `compare` and `convergence_in_dim` of a committee machine: those of the linear system, at its results."""

import dataclasses
import inspect
from collections.abc import Sequence

import numpy as np

from steode.errors import SpecificationError, UnsupportedError
from steode.systems.committee.solve import TOLERANCE, solve
from steode.systems.committee.spec import CommitteeModel, check_model
from steode.systems.committee.trajectory import CommitteeTrajectory
from steode.systems.linear import compare as of_linear
from steode.systems.linear.comparison import Comparison
from steode.systems.linear.convergence import DimensionScaling
from steode.systems.linear.convergence import convergence_in_dim as of_linear_in_dim


def compare(
    theory: CommitteeTrajectory, runs: CommitteeTrajectory, *, start: str = "nominal", observable: str = "eps_g"
) -> Comparison:
    """Compare simulated runs of a committee machine with its limit, at the runs' record times, in standard errors.

    Parameters
    ----------
    theory : result of `solve`; solved again, with the same method and tolerance, where runs were recorded at other
        times.
    runs : result of `simulate`, of at least two seeds.
    start : "nominal": the limit starts from the model's laws; "drawn": for each seed from the empirical law of its
        teacher and initial weights. Not with the Gaussian closure.
    observable : a name that both have; of a matrix all entries in one row. Matrices only from a nominal start.

    Raises
    ------
    SpecificationError
        If the two are not a limit and a simulation of one specification, or an argument does not make sense.
    UnsupportedError
        If the limit has no drawn start, or a matrix is asked for from one.
    """
    for name, value in (("theory", theory), ("runs", runs)):
        if not isinstance(value, CommitteeTrajectory):
            remedy = "The order is compare(theory, runs)."
            raise SpecificationError(name, "a trajectory of a committee machine", value, remedy)
    verb = inspect.unwrap(of_linear.compare)
    wide = observable in runs.observables and runs[observable].ndim > 3
    if wide and start == "drawn":
        raise UnsupportedError(f'compare: {observable} is a matrix; from a drawn start compare "eps_g".')
    same = theory.times.shape == runs.times.shape and np.allclose(theory.times, runs.times, rtol=0, atol=1e-9)
    if wide and theory.provenance.kind == "limit" and not same:
        settings = theory.provenance.settings
        again = {"method": theory.provenance.method, "tolerance": settings["tolerance"]}
        theory = solve(theory.model, float(runs.times[-1]), times=runs.times, **again)
    if wide:
        theory, runs = _flat(theory, observable, 1), _flat(runs, observable, 2)
    return verb(theory, runs, start=start, observable=observable)


def _flat(trajectory: CommitteeTrajectory, name: str, leading: int) -> CommitteeTrajectory:
    """The same with the entries of one matrix in a row."""

    def flattened(values, axes):
        return values | {name: values[name].reshape(*values[name].shape[:axes], -1)} if name in values else values

    own, error = flattened(trajectory.observables, leading), flattened(trajectory.error, 1)
    return dataclasses.replace(trajectory, observables=own, error=error)


def convergence_in_dim(
    model: CommitteeModel,
    dims: Sequence[int] = (250, 500, 1000, 2000),
    *,
    t_end: float,
    seeds: int = 16,
    key=0,
    method: str | None = None,
    tolerance: float | None = None,
) -> DimensionScaling:
    """Simulate at several dimensions and fit the power at which runs approach the limit, -1/2 if the limit is right.

    Parameters
    ----------
    model : the specification.
    dims : at least two increasing input dimensions.
    t_end : last rescaled time.
    seeds, key : those of `simulate`, for every dimension.
    method, tolerance : those of `solve`; of particles the tolerance has to be well below the scatter of runs.

    Raises
    ------
    SpecificationError
        As `steode.convergence_in_dim`.
    ConvergenceError
        If the limit's own error is not small beside the deviation of the runs: lower `tolerance`.
    """
    check_model(model)
    if method is None:
        method = "order parameters" if model.has_exact_order_parameters else "particles"
    if tolerance is None:
        tolerance = TOLERANCE.get(method, 0.01)
    verb = inspect.unwrap(of_linear_in_dim)
    return verb(model, dims, t_end=t_end, seeds=seeds, key=key, method=method, tolerance=tolerance)
