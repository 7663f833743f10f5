"""The fixed point at small learning rates, and near exact recovery: expansions against the numeric roots."""

import numpy as np
import scipy.stats
import sympy

from steode import Constant, Discrete, Levels, LinearModel, derive, fixed_points
from steode.symbolic import symbols as sym
from tests.models import REFERENCE


def gap_to_floor(model, floor):
    return fixed_points(model)[0].V - floor


def inputs_of(model):
    limit = derive(model)
    return {symbol: float(limit.numeric(symbol)) for symbol in (sym.alpha_1, sym.alpha_2)}


def floor_of(model, spread):
    """V for a given average spread around the targets."""
    alpha_1, alpha_2 = inputs_of(model).values()
    return model.teacher.second_moment * (1 - alpha_1**2 / alpha_2) + model.noise**2 + alpha_2 * spread


def resolved_normal(kinks, finest):
    """Nodes and weights of N(0, 1) on panels that shrink toward the kinks."""
    steps = np.concatenate([[0.0], np.geomspace(finest, 0.5, 7)])
    ends = [-8.0, *kinks, 8.0]
    gaps = zip(ends[:-1], ends[1:], strict=True)
    edges = np.unique([(low + (high - low) * steps, high - (high - low) * steps) for low, high in gaps])
    x, weights = np.polynomial.legendre.leggauss(6)
    middles, halves = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    nodes = (middles[:, None] + halves[:, None] * x).ravel()
    masses = (halves[:, None] * weights).ravel() * scipy.stats.norm.pdf(nodes)
    return nodes, masses / masses.sum()


def test_correction_of_a_generic_target_is_transcendentally_small():
    """(V - floor) over the first formula tends to 1 while both fall by nine orders of magnitude."""
    model = REFERENCE.replace(weight_quantizer=Levels((-1.5, -0.7, 0.3, 1.7)), teacher=Constant(-0.3), noise=0.1)
    limit, numbers = derive(model), inputs_of(model)
    a = numbers[sym.alpha_1] * model.teacher.value / numbers[sym.alpha_2]
    levels, thresholds = model.weight_quantizer.levels, model.weight_quantizer.thresholds
    below, cells, jumps = np.searchsorted(levels, a) - 1, np.diff(thresholds), np.diff(levels)
    numbers |= {sym.gap_low: a - levels[below], sym.gap_high: levels[below + 1] - a}
    numbers |= {sym.width_low: cells[below - 1], sym.width_high: cells[below]}
    numbers |= {sym.jump_low: jumps[below - 1], sym.jump_high: jumps[below + 1]}
    floor = floor_of(model, (a - levels[below]) * (levels[below + 1] - a))
    temperature, generic, *_ = limit.step("small-learning-rate correction").equation
    (floor_symbol,) = temperature.rhs.free_symbols - {sym.eta}
    ratios, gaps = [], []
    for eta in (0.4, 0.2, 0.1):
        numbers[sym.theta] = temperature.rhs.subs({sym.eta: eta, floor_symbol: floor})
        gaps.append(gap_to_floor(model.replace(learning_rate=eta), floor))
        ratios.append(gaps[-1] / float((sym.alpha_2 * generic.rhs).subs(numbers)))
    assert gaps[2] < 1e-8 * gaps[0]
    assert abs(ratios[0] - 1) < 0.02
    assert abs(ratios[1] - 1) < 1e-4
    assert abs(ratios[2] - 1) < 1e-3  # the gap is 7e-13, a few thousand rounding errors of V


def test_target_on_a_level_is_corrected_at_first_order():
    model = REFERENCE.replace(weight_quantizer=Levels((-1.5, -0.4, 0.0, 1.2)), teacher=Constant(0.0), noise=0.5)
    on_level = derive(model).step("small-learning-rate correction").equation[3].rhs
    numbers = inputs_of(model) | {sym.gap_low: 0.4, sym.gap_high: 1.2, sym.width: 0.8}
    errors = []
    for eta in (0.08, 0.04):
        predicted = float((sym.alpha_2 * on_level).subs(numbers | {sym.theta: eta * 0.5**2}))
        errors.append(gap_to_floor(model.replace(learning_rate=eta), 0.5**2) / predicted - 1)
    assert abs(errors[1]) < 0.03
    assert abs(errors[1] / errors[0] - 0.5) < 0.05  # the next order


def test_density_of_targets_is_corrected_at_second_order():
    """A Gaussian teacher, resolved inside the layers around the inner levels."""
    levels, thresholds = np.array([-1.5, -0.6, 0.4, 1.3]), np.array([-1.1, -0.2, 0.9])
    model = REFERENCE.replace(weight_quantizer=Levels(tuple(levels), tuple(thresholds)), noise=0.1)
    limit, numbers = derive(model), inputs_of(model)
    scale = numbers[sym.alpha_2] / numbers[sym.alpha_1]
    numbers |= {sym.L[j]: level for j, level in enumerate(levels)}
    numbers |= {sym.T[j]: threshold for j, threshold in enumerate(thresholds, start=1)}
    last = limit.step("small-learning-rate correction").equation[-1].rhs.doit().subs(numbers)
    errors = []
    for eta in (0.05, 0.025):
        nodes, weights = resolved_normal(scale * levels, 0.01 * eta)
        a = nodes / scale
        inside = np.clip(a, levels[0], levels[-1])
        cell = np.clip(np.searchsorted(levels, inside) - 1, 0, levels.size - 2)
        spread = (inside - levels[cell]) * (levels[cell + 1] - inside) + (a - inside) ** 2
        resolved = model.replace(teacher=Discrete(tuple(nodes), tuple(weights)), learning_rate=eta)
        floor = floor_of(resolved, weights @ spread)
        predicted = last.subs(sym.theta, eta * floor).replace(sym.teacher_density, sym.normal_density)
        errors.append(gap_to_floor(resolved, floor) / float(predicted) - 1)
    assert abs(errors[1]) < 0.02
    assert abs(errors[1] / errors[0] - 0.5) < 0.05  # what is left falls with theta


def test_recovery_threshold_grows_with_the_batch():
    """V = Delta^2 (eta - B)/eta up to exponentially small terms; levels -3, ..., 3 and w* = 1: published root."""
    model = LinearModel(weight_quantizer=Levels(range(-3, 4)), teacher=Constant(1.0), learning_rate=1.2)
    (second,) = (e.rhs for e in derive(model).step("exact recovery").equation[3:] if e.rhs != 0)
    assert abs(float(second.subs({sym.eta: 1.2, sym.Delta: 1})) / 2 - 0.08336) < 5e-5
    batches = derive(model.replace(batch_size=5)).step("exact recovery")
    (second,) = (e.rhs for e in batches.equation[3:] if e.rhs != 0)
    assert sympy.solve(second, sym.eta) == [sym.batch]
    assert "eta < B" in batches.reason
