"""Isolating all roots of V = F(V), on functions whose roots are known."""

import numpy as np
import pytest

from steode.errors import ConvergenceError
from steode.solvers.root_search import MOST_POINTS, RESOLUTION, isolate_roots


def count_calls(function):
    def counted(values):
        counted.points += values.size
        return function(values)

    counted.points = 0
    return counted


def waves(size, per_unit):
    """Roots at every multiple of 1/(2 per_unit); the slope stays positive where 2 pi size per_unit < 1."""
    return lambda v: v + size * np.sin(2 * np.pi * per_unit * v)


def rough(function):
    """The same with rounding errors of 1e-13."""
    return lambda v: function(v) * (1 + 1e-13 * np.sin(1e15 * v))


MONOTONE = [
    (lambda v: 0 * v + 1, 0.01, 9.0, [1.0]),
    (lambda v: 0.2 + 0.5 * v, 1e-6, 1e3, [0.4]),
    (lambda v: v**2, 1e-3, 50.0, [1.0]),
    (np.sqrt, 1e-9, 1e9, [1.0]),
    (waves(0.1, 1), 0.6, 4.4, np.arange(1, 4.4, 0.5)),
    (waves(0.01, 10), 0.93, 1.98, np.arange(0.95, 1.98, 0.05)),
    (lambda v: v + 0.2 * (v - 1) * (v - 1.1) * (v - 3), 0.1, 5.0, [1.0, 1.1, 3.0]),
    (lambda v: 0 * v + 10, 0.1, 3.0, []),
    (lambda v: 0 * v + 0.01, 0.1, 3.0, []),
    (lambda v: v + 1e-3, 0.1, 3.0, []),
    (lambda v: v + 0.2 * (v - 1) ** 2 + 1e-4, 0.1, 3.0, []),
]
IDS = ["constant", "line", "square", "root", "waves", "many waves", "two close", "above", "below", "near", "near miss"]


@pytest.mark.parametrize("noisy", [False, True], ids=["", "rough"])
@pytest.mark.parametrize(("function", "low", "high", "roots"), MONOTONE, ids=IDS)
def test_all_roots_of_nondecreasing_functions_are_isolated(function, low, high, roots, noisy):
    counted = count_calls(rough(function) if noisy else function)
    search = isolate_roots(counted, low, high, 0.0)
    assert search.complete
    assert search.touching == []
    assert len(search.brackets) == len(roots)
    for (left, right), root in zip(search.brackets, roots, strict=True):
        assert left <= root <= right
        assert right - left < 1e3 * RESOLUTION * root
    assert counted.points < MOST_POINTS


@pytest.mark.parametrize(
    ("function", "roots"),
    [
        (lambda v: 1 + 0.4 * np.sin(2 * np.log(v) + 0.3), 1),
        (lambda v: 1 + 0.8 * np.sin(8 * np.log(v) + 0.3), 5),
        (lambda v: 3 + np.cos(np.log(v)) ** 2, 1),
        (lambda v: 30 + 0 * v, 0),
    ],
    ids=["one", "five", "above one", "none"],
)
def test_all_roots_of_functions_of_bounded_slope_are_isolated(function, roots):
    """Not monotone; C bounds the slopes in log V of F and, with the weight it has in the proof, of its square root."""
    grid = np.geomspace(0.05, 20.0, 400_001)
    values = function(grid)
    steepest = [np.abs(np.gradient(f, np.log(grid))).max() for f in (values, np.sqrt(values))]
    slope = 1.001 * max(steepest[0], 2 * steepest[1] ** 2, 1e-3)
    assert np.count_nonzero(np.diff(np.sign(values - grid))) == roots
    search = isolate_roots(function, 0.05, 20.0, slope)
    assert search.complete
    assert len(search.brackets) == roots


@pytest.mark.parametrize("slope", [0.0, 2.0])
def test_a_double_root_is_never_called_complete(slope):
    """F touches V at 1: the values cannot tell none, one or two roots apart."""
    search = isolate_roots(lambda v: v + 0.2 * (v - 1) ** 2, 0.1, 3.0, slope)
    assert not search.complete


def test_two_roots_nearer_than_the_rounding_are_never_called_complete():
    search = isolate_roots(rough(lambda v: v + 0.2 * (v - 1) ** 2 - 1e-16), 0.1, 3.0, 0.0)
    assert not search.complete


def test_without_a_bound_only_changes_of_sign_are_claimed():
    search = isolate_roots(waves(0.1, 1), 0.6, 4.4, None)
    assert not search.complete
    assert len(search.brackets) == 7
    assert all(
        left <= root <= right for (left, right), root in zip(search.brackets, np.arange(1, 4.4, 0.5), strict=True)
    )


def test_the_search_gives_up_rather_than_run_for_ever():
    """F(V) = V is a root everywhere."""
    counted = count_calls(lambda v: v)
    search = isolate_roots(counted, 0.1, 3.0, 0.0)
    assert not search.complete
    assert search.brackets == []
    assert counted.points < 10 * MOST_POINTS


def test_values_that_are_not_numbers_are_no_answer():
    with pytest.raises(ConvergenceError, match=r"could not be averaged"):
        isolate_roots(lambda v: np.where(v > 1, np.nan, 0 * v + 2), 0.1, 3.0, 0.0)
