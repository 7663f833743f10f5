"""Fixed points: published values, the equation's special roots, and the long-time density."""

import numpy as np
import pytest
import scipy.stats

from steode import (
    ClippedSurrogate,
    Constant,
    Discrete,
    Eigenvalues,
    Elementwise,
    Identity,
    Levels,
    LinearModel,
    Normal,
    Sign,
    SpecificationError,
    TwoPoint,
    Uniform,
    UnsupportedError,
    fixed_points,
)
from tests.models import REFERENCE

PRINTED = 6e-6
"""Half a unit of the fifth decimal, to which the published values are given."""


@pytest.mark.parametrize(("eta", "eps_g"), [(0.1, 0.20415), (0.3, 0.20616), (0.5, 0.22119), (1.0, 0.34679)])
def test_both_quantized(eta, eps_g):
    (point,) = fixed_points(REFERENCE.replace(learning_rate=eta))
    assert abs(point.eps_g - eps_g) < PRINTED
    assert abs(point.residual) < 1e-12


@pytest.mark.parametrize(("eta", "eps_g"), [(0.1, 0.16667), (0.5, 0.16801), (1.0, 0.19618), (1.9, 0.39665)])
def test_weights_only_quantized(eta, eps_g):
    model = REFERENCE.replace(input_quantizer=Identity(), learning_rate=eta)
    assert abs(fixed_points(model)[0].eps_g - eps_g) < PRINTED


@pytest.mark.parametrize(("omega", "eps_g"), [(1.0, 0.08810), (2.0, 0.22259)])
def test_case_g(omega, eps_g):
    quantizer = Uniform(bits=2, range=omega)
    model = LinearModel(
        weight_quantizer=quantizer, input_quantizer=quantizer, teacher=Constant(1.0), learning_rate=0.5, noise=0.1
    )
    assert abs(fixed_points(model)[0].eps_g - eps_g) < PRINTED


def test_gaussian_teacher_is_integrated_between_the_kinks():
    quantizer = Uniform(bits=3, range=2.5)
    model = LinearModel(
        weight_quantizer=quantizer, input_quantizer=quantizer, teacher=Normal(), learning_rate=0.2, noise=0.1
    )
    assert abs(fixed_points(model)[0].eps_g - 0.0668) < 5e-5


def test_clipping_term_of_a_gaussian_teacher_has_a_closed_form():
    omega = 1.5
    model = LinearModel(weight_quantizer=Uniform(bits=3, range=omega), teacher=Normal(), noise=0.1)
    tail = scipy.stats.norm.sf(omega) * (1 + omega**2) - omega * scipy.stats.norm.pdf(omega)  # E (x - omega)_+^2
    point = fixed_points(model)[0]
    assert abs(point.clipping_term - tail) < 1e-10
    assert abs(point.escaping - 2 * scipy.stats.norm.sf(omega)) < 1e-10


def test_terms_sum_to_the_error_and_match_the_stationary_law():
    (point,) = fixed_points(REFERENCE)
    assert abs(point.input_term + point.dithering_term + point.clipping_term - point.eps_g) < 1e-12
    probabilities, levels = point.level_probabilities(1.0), REFERENCE.weight_quantizer.levels
    alpha_1, alpha_2 = 0.9692832396712265, 1.0930575624950605
    mean = probabilities @ levels
    assert abs(mean - alpha_1 / alpha_2) < 1e-10  # the mean quantized weight is the target, at every learning rate
    variance = probabilities @ levels**2 - mean**2
    assert abs(alpha_2 * variance / 2 - point.dithering_term) < 1e-10


@pytest.mark.parametrize(
    "model",
    [
        REFERENCE,
        LinearModel(teacher=Constant(0.3), weight_quantizer=Uniform(4, 2.0)),
        LinearModel(teacher=Constant(0.3), weight_quantizer=Uniform(6, 2.0)),
        LinearModel(teacher=Constant(0.3), weight_quantizer=Uniform(3, 2.0), learning_rate=0.01),
    ],
    ids=["reference", "four bits", "six bits", "small rate"],
)
def test_stationary_density_is_normalized(model):
    """Also where the outermost cells are as good as empty."""
    (point,) = fixed_points(model)
    wstar = model.teacher.value
    edges = np.concatenate([[-8.0], model.weight_quantizer.thresholds, [8.0]])
    nodes, weights = np.polynomial.legendre.leggauss(400)
    total = sum(
        (high - low) / 2 * weights @ point.density((high + low) / 2 + (high - low) / 2 * nodes, wstar)
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    )
    assert abs(total - 1) < 1e-10


def test_representable_teacher_is_recovered_exactly_below_learning_rate_one():
    model = LinearModel(weight_quantizer=Levels(range(-3, 4)), teacher=Discrete((-1.0, 0.0, 2.0)), learning_rate=0.9)
    points = fixed_points(model)
    assert [point.kind for point in points] == ["exact recovery"]
    assert points[0].V == 0
    assert "stable (threshold learning rate 1)" in points.note
    above = fixed_points(model.replace(learning_rate=1.2))
    assert [point.kind for point in above] == ["exact recovery", "regular"]
    assert "unstable" in above.note


@pytest.mark.parametrize(
    ("model", "threshold"),
    [
        (LinearModel(teacher=Constant(0.0), weight_quantizer=Levels((-1, 0, 1), (-0.1, 0.1))), 0.2),
        (LinearModel(teacher=Constant(0.0), weight_quantizer=Levels((-1, 0, 1), (-2.0, 2.0))), 4.0),
        (LinearModel(teacher=Constant(0.0), weight_quantizer=Levels((-1, 0, 1)), input_quantizer=Sign(2.0)), 0.25),
    ],
    ids=["narrow cell", "wide cell", "large inputs"],
)
def test_recovery_threshold_depends_on_cell_width_and_input_power(model, threshold):
    """Below it nothing but V = 0; above it a second root, small at first, and the note says so."""
    below = fixed_points(model.replace(learning_rate=0.98 * threshold))
    above = fixed_points(model.replace(learning_rate=1.02 * threshold))
    assert len(below) == 1
    assert f"is stable (threshold learning rate {threshold:g})" in below.note
    assert f"is unstable (threshold learning rate {threshold:g})" in above.note
    assert 0 < above[1].V < 0.1


@pytest.mark.parametrize(
    "model",
    [
        LinearModel(teacher=Normal(), weight_quantizer=Uniform(8, 6.0), learning_rate=0.01, noise=1e-3),
        LinearModel(teacher=Constant(3.0), weight_quantizer=Uniform(4, 7.0, "mid-tread"), noise=1e-3),
    ],
    ids=["eight bits", "small V"],
)
def test_small_roots_are_found_to_full_accuracy(model):
    """V far below rho, where a difference of order parameters would have no digit left."""
    (point,) = fixed_points(model)
    assert 0 < point.V < 1e-3
    assert abs(point.residual) < 1e-11 * point.V


def test_published_root_above_the_recovery_threshold():
    model = LinearModel(weight_quantizer=Levels(range(-3, 4)), teacher=Constant(1.0), learning_rate=1.2)
    assert abs(fixed_points(model)[1].eps_g - 0.08336) < PRINTED


def test_teacher_on_the_last_level_is_recovered_exactly():
    points = fixed_points(LinearModel(weight_quantizer=Levels(range(-3, 4)), teacher=Constant(3.0)))
    assert [point.kind for point in points] == ["exact recovery"]
    assert points[0].stable
    assert points.on_last_level == 1


def test_noise_lifts_the_degenerate_root():
    model = LinearModel(weight_quantizer=Levels(range(-3, 4)), teacher=Constant(1.0), learning_rate=0.5, noise=0.1)
    points = fixed_points(model)
    assert all(point.V > 0 for point in points)
    assert len(points) == 1


def test_unreachable_teacher_escapes_and_is_clipped():
    point = fixed_points(LinearModel(weight_quantizer=Uniform(2, 0.5), teacher=TwoPoint(1.0)))[0]
    assert point.escaping == 1.0
    assert abs(point.eps_g - 0.125) < 1e-12
    with pytest.raises(UnsupportedError, match="never settles"):
        point.density(np.linspace(-1, 1, 5), 1.0)


def test_affine_fixed_point_is_the_closed_form():
    model = LinearModel(teacher=Normal(), input_quantizer=Uniform(bits=2, range=2.0), learning_rate=0.5, noise=0.2)
    (point,) = fixed_points(model)
    ratio, alpha_2 = 0.9692832396712265**2 / 1.0930575624950605, 1.0930575624950605
    assert abs(point.V - (1 - ratio + 0.04) / (1 - 0.25 * alpha_2)) < 1e-10
    unquantized = fixed_points(model.replace(input_quantizer=Identity()))
    assert abs(unquantized[0].deviation) < 1e-12
    assert abs(unquantized.unquantized_eps_g - 0.5 * 0.04 / 3) < 1e-15


def test_divergence_is_a_result():
    points = fixed_points(LinearModel(teacher=Normal(), learning_rate=2.0, noise=0.1))
    assert len(points) == 0
    assert "grows without bound" in points.note
    assert np.isinf(points.unquantized_eps_g)


def test_what_has_no_fixed_point_equation_is_refused_with_the_reason():
    with pytest.raises(UnsupportedError, match="depends on the initial law"):
        fixed_points(REFERENCE.replace(surrogate=ClippedSurrogate(1.0)))
    with pytest.raises(UnsupportedError, match="several wells"):
        fixed_points(REFERENCE.replace(weight_quantizer=Elementwise("sin(x)")))
    with pytest.raises(SpecificationError, match="a LinearModel"):
        fixed_points(3)


def test_printing_shows_every_root():
    text = repr(fixed_points(REFERENCE))
    assert "0.204148" in text
    assert "dithering" in text


SEVEN = Levels(range(-3, 4))


@pytest.mark.parametrize(
    ("eta", "kinds"), [(0.95, ["exact recovery"]), (1.05, ["exact recovery", "regular"])], ids=["below", "above"]
)
def test_recovery_is_found_with_a_spectrum_too(eta, kinds):
    """The gain is (eta/B) E[lambda (g_1 + g_2)/(2 W)]: eigenvalues count by their mean."""
    model = LinearModel(weight_quantizer=SEVEN, teacher=TwoPoint(1.0), learning_rate=eta)
    found = fixed_points(model.replace(spectrum=Eigenvalues([0.2, 1.8])))
    assert [point.kind for point in found] == kinds
    assert found.complete
    assert not found.findings
    assert found[0].gain == pytest.approx(eta, rel=1e-9)
    assert found[0].stable == (eta < 1)
    assert found[0].threshold_learning_rate == pytest.approx(1, rel=1e-9)


def test_unquantized_weights_rest_at_zero_error_without_noise():
    model = LinearModel(teacher=Normal(), learning_rate=0.5)
    for eta, stable in ((0.5, True), (2.5, False)):
        found = fixed_points(model.replace(learning_rate=eta))
        assert [point.kind for point in found] == ["exact recovery"]
        assert found[0].stable is stable
        assert found.findings == (() if stable else ("diverges",))
        assert found[0].threshold_learning_rate == pytest.approx(2)
