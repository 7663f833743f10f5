"""The limit of rotated axes: cases known by other ways, what it returns, what is refused."""

import numpy as np
import pytest

from steode import (
    ClippedSurrogate,
    Eigenvalues,
    Identity,
    LinearModel,
    Normal,
    Paired,
    SpecificationError,
    TwoPoint,
    Uniform,
    UnsupportedError,
    compare,
    simulate,
    solve,
)
from steode.solvers import mean_field_levels
from steode.systems.linear import rotated

pytestmark = pytest.mark.representative

TIMES = np.array([0, 0.5, 1, 2.0])
MODEL = LinearModel(
    teacher=TwoPoint(1.0),
    weight_quantizer=Uniform(bits=2, range=2.0),
    learning_rate=0.2,
    noise=0.2,
    spectrum=Eigenvalues([0.3, 0.3, 0.3, 3.1]),
)


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    """And few time steps, a second for each solution; its own error says what that costs."""
    monkeypatch.setattr(rotated, "SAMPLES", 4000)
    monkeypatch.setattr(mean_field_levels, "FEWEST_STEPS", 48)


def in_errors(found, other, names=("V", "m", "q", "mean_w", "std_w")):
    """Largest distance in errors, and the largest error as part of the largest value of V."""
    scale = found["V"].max()
    z = [np.abs(found[name] - other[name]) / (found.error[name] + 1e-3 * scale) for name in names]
    return np.max(z), max(found.error[name].max() / scale for name in names)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"input_quantizer": Uniform(bits=2, range=1.5), "weight_decay": 0.2, "batch_size": 2},
    ],
    ids=["plain", "quantized inputs, decay, batch"],
)
def test_one_eigenvalue_is_the_limit_in_the_eigenbasis_with_gaussian_weights(changes):
    """All axes are then alike, and a rotation does nothing but make the weights Gaussian."""
    given = MODEL.replace(spectrum=Eigenvalues([1.0])).replace(**changes)
    found = solve(given, 2, method="dmft", times=TIMES)
    other = solve(given.replace(teacher=Normal(std=1.0)), 2, times=TIMES, method="density", tolerance=1e-3)
    z, error = in_errors(found, other)
    assert z < 4
    assert error < 0.03
    if "level_fraction" in found.observables:
        assert np.abs(found["level_fraction"] - other["level_fraction"]).max() < 0.02


def test_without_quantizers_the_axes_do_not_matter():
    given = MODEL.replace(
        weight_quantizer=Identity(), init=Normal(mean=0.5, std=0.5), teacher=Normal(mean=1.0, std=0.5)
    )
    found, exact = (solve(given, 2, method=method, times=TIMES) for method in ("dmft", "moments"))
    z, error = in_errors(found, exact, ("V", "m", "q"))
    assert z < 4
    assert error < 0.03
    # but the mean weight does: a random direction has next to none of it
    assert np.abs(found["mean_w"]).max() < 1e-3 < np.abs(exact["mean_w"]).min()


def test_of_the_laws_it_takes_the_second_moments():
    first = solve(MODEL, 1, method="dmft")
    assert first.provenance.method == "dmft"
    assert first.times.size == 201
    again = solve(MODEL.replace(teacher=Normal(std=1.0)), 1, method="dmft")
    for name in ("eps_g", "V", "m", "q", "mean_w", "std_w", "level_fraction"):
        np.testing.assert_allclose(first[name], again[name], rtol=1e-12, atol=1e-12)
        assert first.error[name].shape == first[name].shape
    # times of all levels of extrapolation, so that nothing is interpolated
    np.testing.assert_allclose(first["level_fraction"][::50].sum(axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(2 * first["eps_g"], first["V"] - 0.04, rtol=1e-12)
    np.testing.assert_allclose(first["V"], 0.04 + 1 - 2 * first["m"] + first["q"], rtol=1e-12)
    # the start, where nothing is correlated: rho + E Q^2
    assert first["m"][0] == pytest.approx(0, abs=5e-3)


def test_drawn_weights_take_the_place_of_the_laws():
    rng = np.random.default_rng(1)
    teacher, initial = rng.normal(size=(2, 800))
    found = solve(MODEL, 1, method="dmft", start=(teacher, initial), times=[0, 0.5, 1])
    image = np.asarray(MODEL.weight_quantizer(initial))
    assert found["V"][0] == pytest.approx(0.04 + np.mean((teacher - image) ** 2), rel=1e-9)
    assert found["mean_w"][0] == pytest.approx(initial.mean(), rel=1e-9)
    assert found.provenance.settings["start"] == "drawn"


def test_compare_takes_runs_in_the_axes_of_the_limit_only():
    turned, straight = (simulate(MODEL, 40, 1, seeds=2, basis=basis) for basis in ("rotated", "eigenbasis"))
    found, other = (solve(MODEL, 1, method=method, times=turned.times) for method in ("dmft", "gaussian"))
    assert np.isfinite(compare(found, turned).z).all()
    with pytest.raises(SpecificationError, match="rotated"):
        compare(other, turned)
    with pytest.raises(SpecificationError, match="eigenbasis"):
        compare(found, straight)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"teacher": Paired([1.0, -1.0, 0.5, 0.5])}, "paired"),
        ({"surrogate": ClippedSurrogate(1.0)}, "freeze"),
        ({"activation": Uniform(bits=2, range=1.0)}, "activation"),
    ],
)
def test_what_it_cannot_take_is_refused(changes, word):
    with pytest.raises(UnsupportedError, match=word):
        solve(MODEL.replace(**changes), 1, method="dmft")


def test_times_and_inputs_beyond_it_are_refused():
    with pytest.raises(UnsupportedError, match="time steps"):
        solve(MODEL, 1000, method="dmft")
    lost = Uniform(bits=2, range=20.0, kind="mid-tread")
    with pytest.raises(UnsupportedError, match="finer levels"):
        solve(MODEL.replace(input_quantizer=lost), 1, method="dmft")
    with pytest.raises(SpecificationError, match="dmft"):
        solve(MODEL, 1, method="mean-field")
