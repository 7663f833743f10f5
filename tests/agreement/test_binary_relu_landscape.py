"""Stationary points of the binarized ReLU, their stability, and the correlation of coarse and true gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from steode import SpecificationError, binary_relu
from steode.systems.binary_relu.compiled import compile_gradient
from steode.systems.binary_relu.surrogates import SURROGATES, X

pytestmark = pytest.mark.representative

TEACHER = np.array([1.0, -0.5, 2.0])
ONE_SIDED = ("relu", "clipped relu")


def model_of(surrogate="relu", teacher=TEACHER) -> binary_relu.BinaryReLUModel:
    return binary_relu.BinaryReLUModel(rows=len(teacher), filter_size=4, output_teacher=teacher, surrogate=surrogate)


def points_of(model, **options) -> dict:
    return {point.kind: point for point in binary_relu.fixed_points(model, **options)}


def test_stationary_points_have_the_predicted_losses():
    points = points_of(model_of())
    assert list(points) == ["global minimum", "saddle", "spurious minimum"]
    m, S, N = 3, TEACHER.sum(), TEACHER @ TEACHER
    assert points["global minimum"].loss == pytest.approx(0, abs=1e-15)
    assert points["spurious minimum"].loss == pytest.approx(S**2 / (2 * (m + 1)), rel=1e-14)
    assert points["saddle"].loss == pytest.approx(N**2 * (m + 1) / (8 * ((m + 1) * N - S**2)), rel=1e-14)
    np.testing.assert_allclose(points["spurious minimum"].v, -TEACHER + 2 * S / (m + 1), rtol=1e-14)
    for point in points.values():
        found = binary_relu.gradients(model_of(), binary_relu.starts(model_of(), point.v, point.theta))
        assert np.abs(found.output).max() < 1e-14
        # at the ends of the angle the loss has a corner
        assert point.kind != "saddle" or np.abs(found.filter).max() < 1e-14


@pytest.mark.parametrize("surrogate", ONE_SIDED)
def test_one_sided_surrogates_rest_at_every_stationary_point(surrogate):
    points = points_of(model_of(surrogate), length=0.7)
    stable = {kind: point.stable for kind, point in points.items()}
    assert stable == {"global minimum": True, "saddle": False, "spurious minimum": True}
    assert all(point.rests and np.abs(point.eigenvalues).min() < 1e-6 for point in points.values())
    # v relaxes at rates 1/4 and (m + 1)/4, the angle at mu'(0) |v.v*|/(sqrt(2 pi) |w|)
    for kind, overlap in (("global minimum", 5.25), ("spurious minimum", -5.25 + 2 * 2.5**2 / 4)):
        rates = [0, -0.25, -0.25, -1, -0.5 * abs(overlap) / (np.sqrt(2 * np.pi) * 0.7)]
        np.testing.assert_allclose(points[kind].eigenvalues, np.sort(rates)[::-1], atol=1e-6)


def test_without_the_condition_the_far_end_is_no_minimum():
    points = points_of(model_of(teacher=np.ones(4)))
    assert list(points) == ["global minimum", "saddle at pi"]
    assert not points["saddle at pi"].stable


@pytest.mark.parametrize("teacher", [TEACHER, (1.0, -1.0, 0.3, 0.2, -0.6)])
def test_the_identity_leaves_the_spurious_minimum(teacher):
    """|E g| = 2 (m - 1) S^2/(sqrt(2 pi) (m + 1)^2), along w: it shortens w."""
    model = model_of("identity", teacher)
    point, m, S = points_of(model)["spurious minimum"], len(teacher), np.sum(teacher)
    assert point.coarse_gradient == pytest.approx(2 * (m - 1) * S**2 / (np.sqrt(2 * np.pi) * (m + 1) ** 2), rel=1e-12)
    assert (point.rests, point.stable) == (False, False)
    with jax.enable_x64(True):
        rates = compile_gradient(model).rates((jnp.asarray(point.v), jnp.asarray(1.0), jnp.asarray(np.pi)))
    assert float(rates[1]) == pytest.approx(-point.coarse_gradient, rel=1e-12)


def test_the_identity_rests_where_the_sum_vanishes():
    assert points_of(model_of("identity", (1.0, -1.0, 0.5, -0.5)))["spurious minimum"].stable


def test_any_leak_for_negative_arguments_leaves_the_spurious_minimum():
    leaky = sympy.Piecewise((1, X > 0), (0.1, True))
    identity, tenth = (points_of(model_of(surrogate))["spurious minimum"] for surrogate in ("identity", leaky))
    assert tenth.coarse_gradient == pytest.approx(0.1 * identity.coarse_gradient, rel=1e-10)
    assert not tenth.rests


@pytest.mark.parametrize("surrogate", [*SURROGATES, sympy.exp(-(X**2)), sympy.Heaviside(-X)])
def test_coarse_and_true_gradient_never_disagree(surrogate):
    model = model_of(surrogate)
    points = binary_relu.random_starts(model, 400, key=1, spread=2.0)
    found = binary_relu.gradients(model, points)
    assert found.correlation.min() >= 0
    assert found.correlation.max() > 0.01


def test_true_gradient_is_the_slope_of_the_loss():
    model = model_of()
    with jax.enable_x64(True):
        compiled = compile_gradient(model)
        star = jnp.asarray(model.w_star)

        def loss(v, w):
            along = w @ star
            theta = jnp.arctan2(jnp.linalg.norm(w - along * star), along)
            return compiled.evaluate("loss", v, jnp.linalg.norm(w), theta)

        points = binary_relu.starts(model, [[1, 0.5, -1], [0.3, 2, 1]], [0.5, 2.7], [0.5, 2.0])
        slopes = jax.vmap(jax.grad(loss, (0, 1)))(jnp.asarray(points.v), jnp.asarray(points.filters(model)))
    found = binary_relu.gradients(model, points)
    np.testing.assert_allclose(slopes[0], found.output, atol=1e-14)
    np.testing.assert_allclose(slopes[1], found.filter, atol=1e-14)


@pytest.mark.parametrize("surrogate", ONE_SIDED)
def test_small_steps_descend_monotonically(surrogate):
    model = model_of(surrogate).replace(step=0.02)
    # starts in the region where the length of w stays away from 0
    starts = binary_relu.starts(model, [[1, 0.5, 1], [2, -1, 1], [-0.2, 0.1, 0.3]], [2.0, 1.0, 0.5], 3.0)
    runs = binary_relu.descend(model, starts, 1000)
    assert runs.length.min() > 1
    assert np.diff(runs.loss, axis=-1).max() <= 1e-15
    assert np.ptp(runs.loss[:, 0]) > 0.1


def test_starts_are_checked():
    model = model_of()
    for wrong in ({"v": np.ones(2)}, {"v": np.full(3, np.nan)}, {"theta": 4.0}, {"length": 0.0}):
        with pytest.raises(SpecificationError):
            binary_relu.starts(model, **({"v": np.ones(3), "theta": 1.0} | wrong))
