"""Gaps are judged in standard errors: the score has the law it claims, sees a wrong limit, knows its resolution."""

import dataclasses
import importlib

import mpmath
import numpy as np
import pytest
import scipy.stats

from steode.errors import ConvergenceError, SpecificationError
from steode.parts.laws import Constant, Normal
from steode.parts.quantizers import Uniform
from steode.systems.linear import configuration
from steode.systems.linear.compare import compare, normal_score
from steode.systems.linear.convergence import DimensionScaling, convergence_in_dim
from steode.systems.linear.simulate import simulate
from steode.systems.linear.solve import solve
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.trajectory import Provenance, Trajectory

# weights not quantized: its limit is a small system of differential equations, quick to solve
MODEL = LinearModel(
    teacher=Normal(mean=0.0, std=1.0),
    init=Normal(mean=0.0, std=0.5),
    input_quantizer=Uniform(2, 2.0),
    learning_rate=0.4,
    noise=0.2,
)
DIM, SEEDS = 200, 6


@pytest.fixture(scope="module")
def theory():
    return solve(MODEL, 4.0, method="moments")


@pytest.fixture(scope="module")
def runs():
    return simulate(MODEL, DIM, 4.0, seeds=SEEDS, key=2, times=np.linspace(0, 4, 41))


def trajectory(kind, times, values, dim=10**9, error=None, **observables):
    """A made-up trajectory; a huge dimension makes the resolution of single weights vanish."""
    settings = {"dim": dim, "dtype": "float64", "tolerance": 1e-4, "start": "nominal"}
    provenance = Provenance(kind, "made up", configuration.to_dict(MODEL), settings, "0", "none")
    error = {} if error is None else {"eps_g": error}
    return Trajectory(np.asarray(times, float), {"eps_g": values} | observables, error, None, None, provenance)


@pytest.mark.parametrize("degrees", [1, 3, 15, 199, 1000])
def test_normal_score_keeps_the_tail_probability(degrees):
    points = np.array([0.01, 0.7, 3.0, 10.0, 37.0, 60.0, 1e3, 1e8])
    scores = normal_score(points, degrees)
    with mpmath.workdps(50):
        for t, z in zip(points, scores, strict=True):
            x = degrees / (degrees + mpmath.mpf(t) ** 2)
            student = mpmath.betainc(mpmath.mpf(degrees) / 2, mpmath.mpf(1) / 2, 0, x, regularized=True)
            gauss = mpmath.erfc(mpmath.mpf(z) / mpmath.sqrt(2))
            # d log(tail)/dz is about -max(z, 1): this is 1e-9 in z
            assert abs(mpmath.log(student / gauss)) < 1e-9 * max(1, z) ** 2
    assert np.array_equal(normal_score(-points, degrees), -scores)
    assert normal_score(np.array([0.0, np.inf, -np.inf]), degrees).tolist() == [0, np.inf, -np.inf]


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_z_is_standard_normal_when_the_limit_is_right(seeds):
    times = np.arange(1.0, 4001.0)
    noise = np.random.default_rng(seeds).normal(size=(seeds, times.size))
    comparison = compare(trajectory("limit", times, np.ones(times.size)), trajectory("simulation", times, 1 + noise))
    assert scipy.stats.kstest(comparison.z, "norm").pvalue > 1e-3
    assert comparison.largest_z == np.abs(comparison.z).max() < 5


def test_a_wrong_limit_is_seen():
    times = np.arange(1.0, 101.0)
    noise = np.random.default_rng(0).normal(size=(16, times.size))
    comparison = compare(
        trajectory("limit", times, np.ones(100)), trajectory("simulation", times, 3 + noise, dim=10_000)
    )
    assert np.median(comparison.z) > 4
    np.testing.assert_allclose(comparison.gap, 2 + noise.mean(axis=0))


def test_stated_numerical_error_is_no_deviation():
    times = [1.0, 2.0]
    made = trajectory("simulation", times, np.array([[1.01, 1.01], [1.02, 1.02]]))
    error = np.array([0.02, 0.0])
    comparison = compare(trajectory("limit", times, np.ones(2), error=error), made)
    assert comparison.z[0] == 0
    assert comparison.z[1] > 1
    assert comparison.numerical_error[0] == pytest.approx(0.02, rel=1e-9)


def test_gaps_below_a_few_weights_are_not_resolved():
    """Few weights on their way to the next level: all seeds may show none of N expected, with probability exp(-N)."""
    times = np.array([1.0])
    seeds, dim = 64, 1000
    for expected in (0.5, 2.0, 5.0):
        limit = trajectory("limit", times, np.array([1 + expected / (seeds * dim)]))
        comparison = compare(limit, trajectory("simulation", times, np.ones((seeds, 1)), dim=dim))
        assert comparison.standard_error[0] == 0
        assert abs(comparison.z[0]) < np.sqrt(expected)
    # 64 missing weights are no accident
    limit = trajectory("limit", times, np.array([1 + 64 / (seeds * dim)]))
    assert compare(limit, trajectory("simulation", times, np.ones((seeds, 1)), dim=dim)).z[0] < -4


@pytest.mark.parametrize("value", [-1.58103, 1e3])
def test_rounding_of_equal_weights_is_no_spread(value):
    """All weights start in one place, and their spread is what rounding makes of their mean."""
    model = LinearModel(teacher=Constant(0.5), weight_quantizer=Uniform(2, 1.0), init=Constant(value), noise=0.1)
    limit = solve(model, 0.1, times=[0.0, 0.1], method="gaussian")
    found = compare(limit, simulate(model, 40, 0.1, seeds=4, times=[0.0, 0.1]), observable="std_w")
    assert found.z[0] == 0


def test_zero_everywhere_is_agreement():
    times = [1.0, 2.0]
    comparison = compare(trajectory("limit", times, np.zeros(2)), trajectory("simulation", times, np.zeros((3, 2))))
    assert np.array_equal(comparison.z, np.zeros(2))


def test_runs_fit_the_limit_from_the_nominal_laws(theory, runs):
    for name in ("eps_g", "V", "m", "q"):
        comparison = compare(theory, runs, observable=name)
        assert comparison.largest_z < 4
        np.testing.assert_allclose(comparison.gap, runs.mean(name) - theory[name][::5], atol=1e-12)
        assert np.all(comparison.instance_error == 0)


def test_the_limit_is_solved_again_at_other_times(theory):
    runs = simulate(MODEL, 130, 3.0, seeds=2)
    comparison = compare(theory, runs)
    again = solve(MODEL, 3.0, times=runs.times, method="moments")
    assert np.array_equal(comparison.theory, again["eps_g"])
    assert np.array_equal(comparison.times, runs.times)


def test_drawn_start_removes_the_fluctuations_of_the_instance(theory, runs):
    nominal, drawn = compare(theory, runs), compare(theory, runs, start="drawn")
    assert drawn.largest_z < 4
    # at time 0 nothing has been learned: run and limit of one instance are the same sum over its weights
    assert abs(drawn.gap[0]) < 1e-6 < abs(nominal.gap[0])
    assert drawn.standard_error[0] < 1e-6
    assert drawn.instance_error[0] == pytest.approx(nominal.standard_error[0], rel=1e-4)
    assert np.all(drawn.instance_error[1:] > 0)
    teacher = runs.snapshots.teacher
    initial = runs.snapshots.weights[:, 0]
    limits = [
        solve(MODEL, 4.0, times=runs.times, method="moments", start=pair)["eps_g"]
        for pair in zip(teacher, initial, strict=True)
    ]
    np.testing.assert_allclose(drawn.theory, np.mean(limits, axis=0), rtol=1e-5)


def test_comparison_prints_a_table_and_converts(theory, runs):
    comparison = compare(theory, runs, start="drawn")
    lines = repr(comparison).splitlines()
    assert f"{SEEDS} runs" in lines[0]
    assert lines[1].split()[:3] == ["tau", "limit", "simulation"]
    assert len(lines) == 13
    for line, i in ((lines[2], 0), (lines[-1], -1)):
        tau, limit, simulation = (float(cell) for cell in line.split()[:3])
        assert (tau, limit, simulation) == pytest.approx(
            (comparison.times[i], comparison.theory[i], comparison.simulation[i]), abs=5e-6
        )
    assert comparison._repr_markdown_().count("\n| ") == 13
    dataset = comparison.to_xarray()
    assert np.array_equal(dataset["z"], comparison.z)
    assert np.array_equal(dataset["time"], runs.times)
    assert set(dataset) == {field.name for field in dataclasses.fields(comparison)} - {
        "observable",
        "start",
        "seeds",
        "times",
    }


def test_observables_with_levels_are_compared_level_by_level():
    times, shape = [1.0, 2.0], (3, 2, 4)
    fractions = np.random.default_rng(0).uniform(size=shape)
    runs = trajectory("simulation", times, np.ones(shape[:2]), level_fraction=fractions)
    limit = trajectory("limit", times, np.ones(2), level_fraction=np.full(shape[1:], 0.5))
    comparison = compare(limit, runs, observable="level_fraction")
    assert comparison.z.shape == shape[1:]
    assert comparison.to_xarray()["z"].dims == ("time", "level")
    assert repr(comparison).splitlines()[1].split()[-1] == "level"


def test_what_cannot_be_compared_is_refused(theory, runs):
    one = simulate(MODEL, DIM, 1.0, seeds=1)
    other = simulate(MODEL.replace(noise=0.1), DIM, 1.0, seeds=2)
    given = simulate(MODEL, DIM, 1.0, seeds=2, initial_weights=np.zeros(DIM))
    drawn = solve(MODEL, 1.0, method="moments", start=(np.ones(4), np.zeros(4)))
    for arguments, options, message in (
        ((runs, theory), {}, "theory: .*solve.*order"),
        ((theory, theory), {}, "runs: .*simulate"),
        ((theory, one), {}, "at least two seeds"),
        ((theory, other), {}, "noise"),
        ((theory, given), {}, "given initial_weights"),
        ((drawn, runs), {}, "nominal laws"),
        ((theory, runs), {"start": "somewhere"}, "start: "),
        ((theory, runs), {"observable": "loss"}, "observable: .*eps_g"),
        ((theory, runs), {"observable": "level_fraction"}, "observable: .*eps_g"),
    ):
        with pytest.raises(SpecificationError, match=message):
            compare(*arguments, **options)


# powers of the dimension


def scaling(generator, power=-0.5, offset=0.0, seeds=16):
    """Deviations with a known power, correlated in time as those of runs are."""
    dims = np.array([250, 500, 1000, 2000, 4000])
    times = np.tile(np.arange(20.0), (dims.size, 1))
    slow = generator.normal(size=(dims.size, seeds, 1)) * np.exp(-times[0] / 10)
    noise = 0.3 * generator.normal(size=(dims.size, seeds, times.shape[1]))
    return DimensionScaling(dims, times, dims[:, None, None] ** power * (slow + noise) + offset, 0.0)


def test_fitted_power_has_the_error_it_states():
    generator = np.random.default_rng(0)
    z = np.array([scaling(generator).z for _ in range(400)])
    assert abs(z.mean()) < 4 * z.std() / 20
    assert 0.8 < z.std() < 1.25


def test_other_powers_and_wrong_limits_are_seen():
    generator = np.random.default_rng(1)
    assert scaling(generator, power=-1.0).z < -4
    # a limit wrong by less than the deviation at d = 1000
    assert scaling(generator, offset=0.03).z > 4


def test_unquantized_weights_approach_their_limit_at_the_predicted_power():
    result = convergence_in_dim(MODEL, (50, 100, 200, 400), t_end=4.0, seeds=40, key=1, method="moments")
    assert abs(result.z) < 3
    assert result.power_error < 0.1
    assert result.deviations.shape == (4, 40, 20)
    assert "fitted power" in repr(result)
    assert result.to_xarray().attrs["power"] == result.power
    np.testing.assert_allclose(result.times[:, -1], 4.0)


def test_bad_ladders_are_refused():
    for dims, options, message in (
        ((100,), {}, "dims"),
        ((200, 100), {}, "dims"),
        ((0, 100), {}, "dims"),
        ((5, 100), {"t_end": 1.0}, "dims"),
        ((100, 200), {"seeds": 1}, "seeds"),
    ):
        with pytest.raises(SpecificationError, match=message):
            convergence_in_dim(MODEL, dims, **({"t_end": 4.0} | options))


def test_a_limit_too_coarse_for_the_ladder_is_refused(monkeypatch):
    def coarse(model, t_end, *, times, **options):
        return trajectory("limit", times, np.ones(times.size), error=np.full(times.size, 0.5))

    monkeypatch.setattr(importlib.import_module("steode.systems.linear.convergence"), "solve", coarse)
    with pytest.raises(ConvergenceError, match="lower tolerance"):
        convergence_in_dim(MODEL.replace(teacher=Constant(1.0)), (50, 100), t_end=4.0, seeds=2)
