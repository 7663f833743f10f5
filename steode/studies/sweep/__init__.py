"""The verb `sweep`: measures of the limit at every combination of parameter values."""

import pathlib
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import xarray
from tqdm import tqdm

from steode import store
from steode.engine.checkpoint import CheckpointWarning
from steode.errors import WriteError, check_integer
from steode.parts.schedule import check_writable
from steode.studies.sweep.axes import read_axes
from steode.studies.sweep.grid import Grid
from steode.studies.sweep.request import read_request
from steode.studies.sweep.results import CONVERGED, PENDING, UNCONVERGED, Results
from steode.studies.sweep.source import FLAG
from steode.systems.linear.configuration import to_dict
from steode.systems.linear.solve import check_model
from steode.systems.linear.spec import LinearModel

__all__ = ["sweep"]

CHUNK = 128
SAVE_EVERY = 2.0
"""Seconds between two writes of a file: a kill loses little more."""


def sweep(
    model: LinearModel,
    axes: Mapping[str, Iterable],
    measure: str | Iterable[str] = "fixed_point",
    *,
    path: str | pathlib.Path | None = None,
    t_end: float | None = None,
    times: Sequence[float] | None = None,
    method: str | None = None,
    tolerance: float | None = None,
    error: float | None = None,
    plateau_tolerance: float | None = None,
    chunk: int | None = None,
    progress: bool | None = None,
) -> xarray.Dataset:
    """Compute measures of the limit on a grid of parameters.

    Points that differ only in learning rate, noise, weight decay, batch size, ranges or the scale of the teacher are
    computed in chunks, each one call of a compiled function; bits, kinds and laws make groups with a function of their
    own.

    Parameters
    ----------
    model : the specification; what is not varied keeps its value.
    axes : dotted key into the specification -> values, one dimension of the result each, such as
        {"learning_rate": [0.1, 0.2], "weight_quantizer.bits": [1, 2, 3]}. The last part of a key is enough where it is
        unambiguous. Keys separated by commas are tied, that is take the same value:
        "weight_quantizer.range, input_quantizer.range". Values are numbers, strings, or whole laws and maps
        ("teacher": [Constant(1.0), Normal()]).
    measure : one or several of
        "fixed_point": eps_g, V and the error's terms at the stable fixed point of smallest V, and its deviation
        from the unquantized model;
        "optimal_range": the weight range with the smallest asymptotic error (see `steode.optimal_range`), as
        best_range;
        "stability": relaxation_time and settling_time of the stable fixed point of smallest V (see
        `steode.stability`);
        "plateau": length of the longest plateau of eps_g (see `steode.plateau`), NaN if there is none;
        "time_to_error": first time at which eps_g is at most `error`, interpolated linearly between `times`, infinite
        if that is not by the last.
    path : a .nc file that is rewritten between chunks, every two seconds. If it exists, what it holds is taken over
        and only the rest is computed. A write that fails is a `CheckpointWarning`, unless it is the last.
    t_end : last rescaled time tau ("plateau" and "time_to_error").
    times : increasing times at which the error is reported; 401 equally spaced ones in [0, t_end] if not given.
    method : "gaussian" (default): the Gaussian closure, approximate and fast; "density": the exact limit, solved point
        by point.
    tolerance : of the limit, as in `steode.solve`; 1e-4 if not given.
    error : the generalization error to reach ("time_to_error").
    plateau_tolerance : tolerance of the plateau rule; 0.05 if not given.
    chunk : points computed in one call at most; given, the file is rewritten after every chunk. 128 if not given.
    progress : show a progress bar on stderr; None: if stderr is a terminal and the sweep takes longer than a second.

    Returns
    -------
    xarray.Dataset with one dimension for each axis, named by the last part of its (first) key, or by all its parts
    joined by underscores where axes share that, and one variable for each number: table.sel(bits=3). What
    did not converge is NaN with `converged` false; `attrs["unconverged"]` counts these points. Attributes hold the
    specification, axes, measures and settings as JSON, version and device. If interrupted from the keyboard, the
    dataset is that of the chunks finished by then: `attrs["complete"]` is false, and for each measure computed on its
    own a variable such as `fixed_point_status` says which points are pending.

    Raises
    ------
    SpecificationError
        Before anything is computed: if an argument does not make sense, a point of the grid is not a model, or the
        file belongs to another sweep, is damaged, or cannot be written.
    WriteError
        If the last write failed, as on a full disk; its `result` is the dataset.
    UnsupportedError
        If a measure does not exist for one of the models, learning-rate schedules would be an axis, or the model's is
        given by a function, which no file can hold.
    """
    check_model(model)
    check_writable(to_dict(model))
    grid = Grid(model, read_axes(model, axes))
    given = {"t_end": t_end, "times": times, "method": method, "tolerance": tolerance, "error": error}
    request = read_request(measure, given | {"plateau_tolerance": plateau_tolerance})
    every = SAVE_EVERY if chunk is None else 0.0
    chunk = CHUNK if chunk is None else check_integer("chunk", chunk, 1)
    results = Results.empty(grid, request)
    if path is not None:
        path = store.output_file("path", path, (".nc",))
        store.remove_parts(path)
        if path.exists():
            results.load(path)
    if not results.complete:
        for group in grid.check():
            for job in request.jobs:
                job.source.check(group.model, request.settings)
        _fill(results, path, chunk, every, progress)
    return results.to_xarray()


def _fill(results: Results, path: pathlib.Path | None, chunk: int, every: float, progress: bool | None) -> None:
    """Compute what is pending; a keyboard interrupt ends it early."""
    visible = sys.stderr.isatty() if progress is None else progress
    statuses = results.status.values()
    total, done = results.grid.size * len(statuses), sum(int(np.sum(status != PENDING)) for status in statuses)
    look = {"unit": "point", "desc": "sweep", "delay": 1.0 if progress is None else 0.0, "disable": not visible}
    failure = None
    try:
        with tqdm(total=total, initial=done, **look) as bar:
            written = time.monotonic()
            for count in _chunks(results, chunk):
                if not results.complete and time.monotonic() - written < every:
                    bar.update(count)
                    continue
                failure, written = _save(results, path), time.monotonic()
                if failure and not results.complete:
                    text = f"{path} could not be written ({failure.reason}); the sweep goes on, and an earlier file"
                    warnings.warn(f"{text} is intact.", CheckpointWarning, stacklevel=3)
                bar.update(count)
    except KeyboardInterrupt:
        # it may have come while the last chunk was being written
        failure = _save(results, path)
    if failure:
        raise WriteError(path, failure.reason, results.to_xarray())


def _save(results: Results, path: pathlib.Path | None) -> WriteError | None:
    """Write what is done; the error, if that fails."""
    try:
        if path is not None:
            results.save(path)
    except WriteError as error:
        return error
    return None


def _chunks(results: Results, chunk: int) -> Iterator[int]:
    """Compute chunk by chunk into `results`; yields the number of points of each."""
    for job in results.request.jobs:
        status, settings = results.status[job.name], results.request.settings
        groups = results.grid.groups(job.source.continuous(settings))
        for group in groups:
            pending = np.flatnonzero(status[group.points] == PENDING)
            if not pending.size:
                continue
            evaluate = job.source.prepare(group.model, settings)
            # every call has the same shape, or it would be compiled anew
            size = min(chunk, group.points.size)
            for places in np.split(pending, range(size, pending.size, size)):
                padded = np.pad(places, (0, size - places.size), mode="edge")
                found = evaluate({name: values[padded] for name, values in group.parameters.items()})
                points, flags = group.points[places], found[FLAG][: places.size]
                for name in job.variables:
                    if name in found:
                        results.values[name][points] = np.where(flags, found[name][: places.size], np.nan)
                status[points] = np.where(flags, CONVERGED, UNCONVERGED)
                yield places.size
