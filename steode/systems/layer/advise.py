"""The verb `advise`: what to expect of a given number of training steps, and what to do."""

import warnings

import jax
import numpy as np

from steode.errors import check_integer
from steode.parts.remedies import Dampening, Freezing
from steode.parts.schedule import Schedule
from steode.systems.layer.advice import Finding, LayerAdvice
from steode.systems.layer.fixed_point import LayerFixedPoints, LayerWarning
from steode.systems.layer.fixed_points import fixed_points, row_equations
from steode.systems.layer.flips import flip_rate
from steode.systems.layer.optimal_range import LayerRanges, optimal_range
from steode.systems.layer.rounding import rounding
from steode.systems.layer.simulate import simulate
from steode.systems.layer.some_rows import ROWS, some_rows
from steode.systems.layer.spec import LayerModel, check_model

GROWTH = 1.1
"""Growth of the floor over its value at a vanishing rate, beyond which a rate is called large."""
SETTLED = 3.0
"""Relaxation times after which a mode is called settled."""


def advise(model: LayerModel, steps: int, *, rows: int = ROWS, seeds: int = 2, key: int | jax.Array = 0) -> LayerAdvice:
    """What rounding, training and its remedies give in a number of steps, and which range and rate to take.

    Rounding and late training come from their formulas; what the given number of steps reaches is trained, on the
    model's activations where it has any and else on Gaussian inputs with its second moment: plain, with the last half
    averaged and rounded, with weights frozen from a quarter of the run on, and with a dampening that grows to 3.

    Parameters
    ----------
    model : the specification.
    steps : SGD steps N >= 1, batches of the model's size.
    rows : at most so many rows, equally spaced, are looked at; rows are independent of each other.
    seeds : runs of each kind, >= 2 for an error.
    key : the random key.

    Raises
    ------
    SpecificationError
        If an argument does not make sense.
    """
    check_model(model)
    steps, rows = check_integer("steps", steps, 1), check_integer("rows", rows, 1)
    seeds = check_integer("seeds", seeds, 2, remedy="Two runs are the least that tell an error.")
    chosen, part = some_rows(model, rows)
    with warnings.catch_warnings():
        # they are said in the advice
        warnings.simplefilter("ignore", LayerWarning)
        late = fixed_points(part)
    errors = _errors(part, late, steps, seeds, key)
    scan = optimal_range(part)
    findings = [
        *_about_errors(errors),
        *_about_ranges(scan),
        *_about_rates(part, late, steps),
        _about_flips(part, late),
    ]
    return LayerAdvice(part, chosen, steps, errors, scan, tuple(findings), late.notes)


def _errors(model: LayerModel, late: LayerFixedPoints, steps: int, seeds: int, key) -> dict[str, tuple[float, float]]:
    """Mean V of a row and its standard error, by method, best first."""
    once, end = rounding(model), steps / model.dim
    options = {"seeds": seeds, "key": key, "progress": False}
    plain = simulate(model, end, times=(end,), average_from=end / 2 if steps > 1 else None, **options)
    freezing = Freezing(end / 4, end, memory=max(end / 50, 1 / model.dim), every=max(end / 200, 1 / model.dim))
    frozen = simulate(model, end, times=(end,), remedy=freezing, **options)
    dampened = simulate(model, end, times=(end,), remedy=Dampening(Schedule(f"3*tau/{end!r}")), **options)
    relative = 1 / np.sqrt(late.effective_dimension * model.rows)
    found = {
        "nearest": (once.V["nearest"].mean(), 0.0),
        "gptq": (once.V["gptq"].mean(), 0.0),
        "last iterate": _of(plain["V"]),
        "frozen": _of(frozen["V"]),
        "dampened": _of(dampened["V"]),
        "last iterate, late": (late.V.mean(), late.V.mean() * relative),
    }
    if steps > 1:
        found["mean of iterates, rounded"] = _of(plain["V_average"])
    return {name: (float(v), float(e)) for name, (v, e) in sorted(found.items(), key=lambda item: item[1][0])}


def _of(values: np.ndarray) -> tuple[float, float]:
    own = values[:, -1].mean(axis=-1)
    return own.mean(), own.std(ddof=1) / np.sqrt(own.size)


def _about_errors(errors: dict[str, tuple[float, float]]) -> list[Finding]:
    trained = {name: value for name, value in errors.items() if name not in ("nearest", "gptq", "last iterate, late")}
    best = min(trained, key=lambda name: trained[name][0])
    last, late, nearest = (errors[name][0] for name in ("last iterate", "last iterate, late", "nearest"))
    runs = "runs of this length, error in the table"
    verb = "better" if last < nearest else "worse"
    found = [
        Finding("best", f"Of what is trained the best is: {best}, {trained[best][0]:.4g}.", trained[best][0], runs),
        Finding(
            "training",
            f"The last iterate is {verb} than rounding to nearest: {last / nearest:.3g} times its V.",
            last / nearest,
            runs,
        ),
    ]
    if late > 1.1 * last:
        statement = f"Longer training gives it back: V rises to {late / last:.3g} times what these steps reach."
        found.append(Finding("longer", statement, late / last, "fixed point of the limit against these runs"))
    return found


def _about_ranges(scan: LayerRanges) -> list[Finding]:
    found = []
    for name, words in (("nearest", "rounding to nearest"), ("gptq", "compensation"), ("training", "late training")):
        factor = float(np.median(scan.factor(name)))
        statement = f"Best range for {words}: {factor:.2f} of the largest weight (the model has {scan.present:.2f})."
        found.append(Finding(f"range for {name}", statement, factor, f"scan of {scan.factors.size} ranges, median"))
    return found


def _about_rates(model: LayerModel, late: LayerFixedPoints, steps: int) -> list[Finding]:
    horizon, (low, high) = steps / model.dim, late.eigenvalues
    mean = float(np.trace(model.inputs.image)) / model.dim
    slow, typical = SETTLED / (low * horizon), SETTLED / (mean * horizon)
    basis = f"eigenvalues of K from {low:.3g} to {high:.3g}, tau = {horizon:.3g}, {SETTLED:g} relaxation times"
    state = "settled" if model.learning_rate >= slow else "still in its transient"
    statement = f"At this rate the run is {state}: all modes settle for rates above {slow:.3g}, an average one above "
    statement += f"{typical:.3g}."
    large = _large_rate(model, late)
    words = f"above {large:.3g}" if np.isfinite(large) else "at no rate"
    grown = f"The floor of the median row grows by more than {100 * (GROWTH - 1):.0f} % {words} (the model has "
    grown += f"{model.learning_rate:.3g})."
    return [
        Finding("slow rate", statement, slow, basis),
        Finding("large rate", grown, large, "fixed points at other rates"),
    ]


def _large_rate(model: LayerModel, late: LayerFixedPoints) -> float:
    """The rate at which the median row's floor is GROWTH times its limit at small rates; infinite if there is none."""
    equations = row_equations(model, model.grid, late.best, late.V - late.dithering)
    moving = equations.lowest > 0
    if not moving.any():
        return np.inf
    heat = equations.heat_for(np.where(moving, GROWTH * equations.lowest, 1.0))
    return float(np.median(heat[moving])) * model.batch_size


def _about_flips(model: LayerModel, late: LayerFixedPoints) -> Finding:
    rate = float(flip_rate(model, late.V, late.best).mean()) * 1000 / model.dim
    statement = f"Late in training a weight changes its level {rate:.3g} times in 1000 steps."
    return Finding("flips", statement, rate, "product law, small steps, Gaussian inputs; good to about 10 %")
