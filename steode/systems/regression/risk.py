"""The verb `risk`: the exact expected risk of quantized SGD for linear regression."""

import jax
import jax.numpy as jnp
import numpy as np

from steode.errors import SpecificationError, check_integer
from steode.systems.regression import recursion
from steode.systems.regression.compiled import CompiledRecursion, compile_recursion
from steode.systems.regression.results import RegressionRisk
from steode.systems.regression.spec import RegressionModel, check_model
from steode.systems.regression.stability import threshold

RECORDS = 101
"""Record steps where none are given."""


def risk(model: RegressionModel, steps: int, *, record=None) -> RegressionRisk:
    """The exact expected risk at finite dimension, over all that is random: samples, label noise and quantizers.

    The recursion of second moments that `derive` gets from the update by Wick's theorem, in O(d) memory and O(d steps)
    time. Derived here.

    Parameters
    ----------
    model : the specification; its quantizers are noise models.
    steps : number N >= 1 of SGD steps; it also decides which iterates are averaged.
    record : increasing numbers of steps in [0, N] after which the risk is given; None: 0 and about 100 that are equally
        spaced in their logarithm.

    Returns
    -------
    `RegressionRisk`. At an unstable step size its numbers are the true, growing risks, infinite where they overflow,
    and `stable` is false.

    Raises
    ------
    SpecificationError
        If an argument does not make sense.
    UnsupportedError
        For a quantizer that is no noise model.
    """
    check_model(model)
    steps = check_integer("steps", steps, 1)
    record = record_steps(record, steps)
    first = model.averaged_from(steps)
    with jax.enable_x64(True):
        compiled = compile_recursion(model)
        rows = [_row(compiled, moments, number) for moments, number in _follow(model, compiled, record, first)]
        largest = threshold(compiled)
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    # an overflow in two terms of opposite sign gives nan: the risk is then infinite
    values = {name: np.where(np.isfinite(array), array, np.inf) for name, array in values.items()}
    return RegressionRisk(model, record, values, first, largest, float(compiled.quantized[2].sum()))


def record_steps(record, steps: int) -> np.ndarray:
    """Numbers of steps to record, increasing integers in [0, steps]."""
    if record is None:
        return np.unique(np.append(0, np.geomspace(1, steps, RECORDS).round())).astype(int)
    array = np.asarray(record)
    whole = array.ndim == 1 and array.size > 0 and array.dtype.kind in "iu"
    if not whole or array[0] < 0 or array[-1] > steps or np.any(np.diff(array) <= 0):
        remedy = "For example [0, 10, 100]."
        raise SpecificationError("record", f"increasing integers between 0 and {steps}", record, remedy)
    return array.astype(int)


def _follow(model: RegressionModel, compiled: CompiledRecursion, record: np.ndarray, first: int):
    """Moments at each record step with the number of iterates in the average."""
    moments = recursion.begin(jnp.asarray(model.initial_weights - compiled.best))
    now = 0
    wanted = set(record.tolist())
    for stop in np.union1d(record, [first]):
        stop = int(stop)
        if stop > now:
            # all of a stretch is before the average begins, or all of it is in it
            averaging = now >= first
            moments = recursion.advance(compiled.coefficients, moments, stop - now, averaging=averaging)
            now = stop
        if stop in wanted:
            yield moments, max(stop - first, 0)
        if stop == record[-1]:
            return


def _row(compiled: CompiledRecursion, moments, averaged: int) -> dict[str, float]:
    if averaged:
        average = moments.total_square / averaged**2, moments.total_mean / averaged
    else:
        average = moments.square, moments.mean
    row = {}
    floor = compiled.quantized[2]
    excess = (*compiled.quantized[:2], np.zeros_like(floor))
    for kind, parts in (("raw", compiled.raw), ("quantized", compiled.quantized), ("excess", excess)):
        row[f"{kind}_last"] = float(recursion.risk(parts, moments.square, moments.mean))
        row[f"{kind}_average"] = float(recursion.risk(parts, *average))
    return row
