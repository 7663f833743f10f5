"""The fixed point at small learning rates, and near exact recovery: expansions against the numeric roots."""

import numpy as np
import pytest
import scipy.integrate
import sympy

from steode import Constant, Levels, LinearModel, Normal, derive, fixed_points
from steode.symbolic import symbols as sym
from tests.models import REFERENCE

pytestmark = pytest.mark.representative


def gap_to_floor(model, floor):
    return fixed_points(model)[0].V - floor


def inputs_of(model):
    limit = derive(model)
    return {symbol: float(limit.numeric(symbol)) for symbol in (sym.alpha_1, sym.alpha_2)}


def floor_of(model, spread):
    """V for a given average spread around the targets."""
    alpha_1, alpha_2 = inputs_of(model).values()
    return model.teacher.second_moment * (1 - alpha_1**2 / alpha_2) + model.noise**2 + alpha_2 * spread


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
    """A Gaussian teacher: layers of width theta/W in the target around the two inner levels."""
    levels, thresholds = np.array([-1.5, -0.6, 0.4, 1.3]), np.array([-1.1, -0.2, 0.9])
    model = REFERENCE.replace(
        weight_quantizer=Levels(tuple(levels), tuple(thresholds)), teacher=Normal(mean=0.2, std=0.9), noise=0.1
    )
    numbers, law = inputs_of(model), model.teacher.distribution
    scale = numbers[sym.alpha_2] / numbers[sym.alpha_1]

    def average(spread, low, high):
        return scipy.integrate.quad(lambda w: spread(w / scale) * law.pdf(w), scale * low, scale * high, epsabs=1e-14)[
            0
        ]

    spread = average(lambda a: (a - levels[0]) ** 2, -8, levels[0]) + average(
        lambda a: (a - levels[-1]) ** 2, levels[-1], 8
    )
    for low, high in zip(levels[:-1], levels[1:], strict=True):
        spread += average(lambda a, low=low, high=high: (a - low) * (high - a), low, high)
    floor = floor_of(model, spread)
    numbers |= {sym.L[j]: level for j, level in enumerate(levels)}
    numbers |= {sym.T[j]: threshold for j, threshold in enumerate(thresholds, start=1)}
    last = derive(model).step("small-learning-rate correction").equation[-1].rhs.doit().subs(numbers)
    errors = []
    for eta in (0.02, 0.01):
        predicted = last.subs(sym.theta, eta * floor)
        predicted = predicted.replace(sym.teacher_density, lambda w: sym.normal_density(w, 0.2, 0.9**2))
        errors.append(gap_to_floor(model.replace(learning_rate=eta), floor) / float(predicted) - 1)
    assert abs(errors[1]) < 0.01
    assert abs(errors[1] / errors[0] - 0.5) < 0.02  # what is left falls with theta


def test_recovery_threshold_grows_with_the_batch():
    """V = Delta^2 (eta - B)/eta up to exponentially small terms; levels -3, ..., 3 and w* = 1: published root."""
    model = LinearModel(weight_quantizer=Levels(range(-3, 4)), teacher=Constant(1.0), learning_rate=1.2)
    (second,) = (e.rhs for e in derive(model).step("exact recovery").equation[3:] if e.rhs != 0)
    assert abs(float(second.subs({sym.eta: 1.2, sym.Delta: 1})) / 2 - 0.08336) < 5e-5
    batches = derive(model.replace(batch_size=5)).step("exact recovery")
    (second,) = (e.rhs for e in batches.equation[3:] if e.rhs != 0)
    assert sympy.solve(second, sym.eta) == [sym.batch]
    assert "eta < B" in batches.reason
