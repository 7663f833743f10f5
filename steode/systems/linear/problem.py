"""A model's numbers put into the compiled equations of its limit."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.optimize

from steode import bridge
from steode.parts.laws import ContinuousLaw, Paired
from steode.parts.quantizers import StepFunction
from steode.parts.range_rules import FollowingRange, LearnedRange
from steode.parts.schedule import Schedule
from steode.parts.surrogates import DerivativeOf
from steode.parts.update_rules import FOGZO, SPSA, STE, Adam, KineticMomentum, Momentum, UpdateRule
from steode.solvers import self_consistency
from steode.solvers.blocks import Blocks, JoinedRows, JoinedStart, total_square
from steode.solvers.equations import Problem
from steode.solvers.libraries import as_array
from steode.solvers.log_linear import TracedRate
from steode.solvers.moving_range import MovingRange
from steode.solvers.scalar_equations import Equation, GroupedEquation, scalar_equation
from steode.solvers.smoothed_descent import SmoothedDescent
from steode.solvers.spectral_start import DrawnSpectralStart, PairedStart, SpectralStart
from steode.solvers.start import DrawnStart, NominalStart, Rows, Start
from steode.solvers.stationary_rows import PairedRows, TeacherRows, teacher_rows
from steode.symbolic.limit import Limit
from steode.systems.linear.derive import derive
from steode.systems.linear.numeric_output import band_of, numeric_output
from steode.systems.linear.spec import LinearModel

NODES, MOST_NODES = 16, 48
"""Gauss points in each panel of a continuous teacher law at stationarity: the second for step functions alone."""
TERMS = 500_000
"""Teacher values times levels there; the quadrature is made coarser for very fine quantizers."""
LAW_NODES = 200
"""Of a continuous initial law, in the statistic that a range follows."""


class _NoRows(NamedTuple):
    """A place for the teacher law, whose quadrature needs the problem's kinks."""

    teacher: np.ndarray = np.zeros(1)
    weights: np.ndarray = np.ones(1)
    rho: float = 1.0
    eigenvalues: None = None


NO_ROWS = _NoRows()


def make_problem(
    model: LinearModel, rows: Rows | JoinedRows, parameters: dict | None = None, whole: LinearModel | None = None
) -> Problem:
    """The equations of a model with its numbers, or those in `parameters`; with SPSA, those of the STE.

    Of a model with groups, those of all rows one after another; `whole` is the one that `model` is a member of.

    Numbers are arrays of NumPy's, but for parameters that are arrays of JAX's.
    See `steode.limit_function` and `steode.fixed_point_function` for the names.
    """
    parameters = parameters or {}
    if isinstance(model.update_rule, SPSA):
        # overlaps and observables are the same, and `smoothed_descent` is what moves the weights
        model = model.replace(update_rule=STE())
    limit = derive(model)
    scales = {"learning_rate": ("eta", rate_factor(model.update_rule)), "dampening": ("dampening", 1.0)}
    values, schedules, traced = {}, [], {}
    for name, (field, scale) in scales.items():
        given = getattr(model, name)
        value = parameters.get(name, given)
        if isinstance(given, Schedule) and value is not given:
            # values at the times of a `LogLinear`
            value = scale * jnp.asarray(value)
            traced[field] = TracedRate(jnp.asarray(given.expression.times), jnp.log(value))
            values[field] = value[0]
        elif isinstance(value, Schedule):
            schedules.append((field, _scaled(bridge.entrywise_function(value), scale)))
            values[field] = schedules[-1][1](0.0)
        else:
            values[field] = scale * value
    moving_range = _moving_range(model)
    scale = parameters.get("weight_range") if moving_range is None else moving_range.start
    weight_map, band = bridge.numeric_map(model.weight_quantizer, scale), band_of(model.surrogate, parameters)
    if model.groups:
        weight_map, band = blocks(model, rows.counts)
    if "levels" in parameters or "thresholds" in parameters:
        names = {field.name for field in dataclasses.fields(weight_map)} & parameters.keys()
        weight_map = dataclasses.replace(weight_map, **{name: as_array(parameters[name]) for name in names})
    # the equations of a batch of one do not contain its size
    general = model.replace(batch_size=max(model.batch_size, 2)) if "batch_size" in parameters else model
    problem = Problem(
        equations=bridge.compile_limit(derive(general)),
        # inside a compiled function a schedule gives an array that is traced, and otherwise any kind of number
        eta=as_array(values["eta"]).astype(float),
        decay=as_array(parameters.get("weight_decay", model.weight_decay)) if model.weight_decay else None,
        dampening=as_array(values["dampening"]).astype(float) if model.dampening else None,
        batch=as_array(parameters.get("batch_size", float(model.batch_size))),
        sigma=as_array(parameters.get("noise", model.noise)),
        band=band,
        mobility=_mobility(model),
        weight_map=weight_map,
        input_map=bridge.numeric_map(model.input_quantizer, parameters.get("input_range")),
        teacher=as_array(rows.teacher),
        teacher_weights=as_array(rows.weights),
        rho=as_array(rows.rho),
        schedules=tuple(schedules),
        traced=traced,
        eigenvalues=None if rows.eigenvalues is None else as_array(rows.eigenvalues),
        output=None if limit.output is None else numeric_output(whole or model, limit.output),
        linear_response=limit.output is None or limit.output.is_linear,
        constants=_constants(model.update_rule, limit),
        memory=_memory(model.update_rule),
        friction=np.asarray(model.update_rule.friction) if isinstance(model.update_rule, KineticMomentum) else None,
        moving_range=moving_range,
    )
    return problem.with_input_averages()


def member_problems(model: LinearModel, rows: tuple[Rows, ...]) -> tuple[Problem, ...]:
    """The equations of each kind of coordinates, given its rows; of a model without groups, its own alone."""
    rho = as_array(total_square(rows, model.shares))
    parts = zip(model.members, rows, strict=True)
    return tuple(dataclasses.replace(make_problem(member, own, whole=model), rho=rho) for member, own in parts)


def blocks(model: LinearModel, counts: tuple[int, ...]) -> tuple[Blocks, np.ndarray | None]:
    """The map of the weights, and the band of each where one has a band, of so many entries in each group."""
    maps = tuple(bridge.numeric_map(member.weight_quantizer) for member in model.members)
    bands = [band_of(member.surrogate, {}) for member in model.members]
    if all(band is None for band in bands):
        return Blocks(maps, counts), None
    ends = np.array([(-np.inf, np.inf) if band is None else band for band in bands])
    return Blocks(maps, counts), np.repeat(ends, counts, axis=0).T


def rate_factor(rule: UpdateRule) -> float:
    """By which the learning rate of the limit is larger than that of the steps."""
    return 1 / (1 - rule.beta) if isinstance(rule, Momentum) else 1.0


@functools.lru_cache(maxsize=64)
def _scaled(schedule: Callable, factor: float) -> Callable:
    """One function for each, so that compiled programs are found again."""
    return schedule if factor == 1 else lambda time: factor * schedule(time)


def stationary_problem(model: LinearModel, response: tuple | None = None, part: float = 1.0) -> Problem:
    """The equations of a model with its teacher law, cut at the kinks that they have under a response, or their own."""
    model = at_rest(model)
    nodes, values = NODES, None if model.spectrum.is_isotropic else model.spectrum.values
    if isinstance(model.weight_quantizer, StepFunction):
        levels, eigenvalues = len(model.weight_quantizer.unit_levels), 1 if values is None else np.unique(values).size
        nodes = int(np.clip(TERMS // (levels * (levels + 24) * eigenvalues), 8, MOST_NODES))
    bare = make_problem(model, NO_ROWS)
    cut = bare if response is None else dataclasses.replace(bare, response=response)
    return dataclasses.replace(rows_of(model, cut, nodes, part).place(cut), response=bare.response)


def stationary_problems(model: LinearModel, part: float = 1.0) -> list[Problem]:
    """`stationary_problem` of each kind of coordinates."""
    return [stationary_problem(member, part=part) for member in model.members]


def stationary_equation(model: LinearModel, problems: list[Problem]) -> Equation | None:
    """The equation of the stationary states, from `stationary_problems` of a model; None where they take several."""
    if not model.groups:
        return scalar_equation(problems[0])
    rho = self_consistency.mixed(model.shares, [problem.rho for problem in problems])
    parts = tuple(scalar_equation(dataclasses.replace(problem, rho=rho)) for problem in problems)
    return GroupedEquation(parts, model.shares)


def at_rest(model: LinearModel) -> LinearModel:
    """The model without what does not matter in a stationary state: memory of Adam, and inertia."""
    if isinstance(model.update_rule, KineticMomentum):
        return model.replace(update_rule=STE())
    return model.replace(update_rule=Adam()) if isinstance(model.update_rule, Adam) else model


def rows_of(model: LinearModel, problem: Problem, nodes: int, part: float = 1.0) -> TeacherRows | PairedRows:
    """The teacher law of a model with its eigenvalues; `problem` has the model's numbers, and any rows."""
    values = None if model.spectrum.is_isotropic else model.spectrum.values
    if isinstance(model.teacher, Paired) and values is not None:
        return PairedRows(np.asarray(model.teacher.values), np.asarray(values))
    return teacher_rows(problem, model.teacher, values, nodes, model.weight_quantizer.is_odd, part)


def smoothed_descent(model: LinearModel) -> SmoothedDescent | None:
    """The drift and diffusion that replace those of the problem with SPSA; None with other update rules."""
    rule = model.update_rule
    if not isinstance(rule, SPSA):
        return None
    dynamics = bridge.compile_descent(derive(model))
    return SmoothedDescent(dynamics, np.asarray(rule.eps), np.asarray(rule.ratio), rule.directions)


def _constants(rule: UpdateRule, limit: Limit) -> tuple:
    """The constants of the force that the rule knows, and ones for the others."""
    known = {"c_u": rule.c, "n": float(rule.n)} if isinstance(rule, FOGZO) else {}
    symbols = () if limit.output is None else limit.output.constants
    return tuple(np.asarray(known.get(symbol.name, 1.0)) for symbol in symbols)


def _mobility(model: LinearModel) -> Callable | None:
    surrogate = model.surrogate
    if not isinstance(surrogate, DerivativeOf):
        return None
    return bridge.compile_expression(surrogate.derivative, (surrogate.proxy.variable,))


def _moving_range(model: LinearModel) -> MovingRange | None:
    rule = model.range_rule
    if isinstance(rule, LearnedRange):
        start, rate = np.asarray(model.weight_quantizer.range), np.asarray(rule.rate)
        at_once = model.update_rule.at_once if isinstance(model.update_rule, Momentum) else 1.0
        return MovingRange(start, rate, rule.gradient, rule.logarithmic, rule.sequential, at_once=at_once)
    if isinstance(rule, FollowingRange):
        if rule.percentile is not None:
            share = rule.percentile / 100
            start = rule.factor * _quantile(model.init, share)
            return MovingRange(np.asarray(start), np.asarray(rule.factor), None, share=np.asarray(share))
        points, chances = model.init.quadrature(np.zeros(1), LAW_NODES)
        start = rule.factor * (chances @ np.abs(points) ** rule.power) ** (1 / rule.power)
        return MovingRange(np.asarray(start), np.asarray(rule.factor), None, power=rule.power)
    return None


def _quantile(law: ContinuousLaw, share: float) -> float:
    """The number q with P(|w| <= q) equal to the share."""
    cdf, reach = law.distribution.cdf, max(abs(end) for end in law.support((1 - share) / 4))
    return scipy.optimize.brentq(lambda q: cdf(q) - cdf(-q) - share, 0.0, reach, xtol=1e-14 * reach)


def _memory(rule: UpdateRule) -> np.ndarray | None:
    followed = isinstance(rule, Adam) and rule.second_moment_rate is not None
    return np.asarray(rule.second_moment_rate) if followed else None


def nominal_start(model: LinearModel) -> Start | JoinedStart:
    """Independent w* and w_0 from the model's laws, with the eigenvalue each coordinate carries."""
    if model.groups:
        return JoinedStart(tuple(nominal_start(member) for member in model.members), model.shares)
    if model.spectrum.is_isotropic:
        return NominalStart(model.teacher, model.init)
    if isinstance(model.teacher, Paired):
        return PairedStart(model.teacher.values, model.init, model.spectrum.values)
    return SpectralStart(model.teacher, model.init, model.spectrum.values)


def drawn_start(model: LinearModel, teacher: np.ndarray, initial: np.ndarray) -> Start:
    """The empirical law of drawn weights (d,), with the eigenvalues of their coordinates."""
    if model.spectrum.is_isotropic:
        return DrawnStart(teacher, initial)
    return DrawnSpectralStart(teacher, initial, model.spectrum.coordinates(teacher.size))
