"""States of rest of committee machines: published fixed points and asymptotics, exact equations beside the closure."""

import numpy as np
import pytest

from steode import Normal, committee, fixed_points, solve

pytestmark = pytest.mark.representative

PLAIN = committee.CommitteeModel(learning_rate=0.5, noise=0.1, init=Normal(std=0.5))


def test_closure_is_exact_without_quantization():
    model = PLAIN.replace(alignment=((0.3, 0.1), (0.0, 0.2)), init=Normal(mean=0.2, std=0.5), weight_decay=0.02)
    exact, closed = (solve(model, 10.0, times=[1.0, 10.0], method=name) for name in ("order parameters", "gaussian"))
    for name in ("eps_g", "student_overlap", "teacher_overlap"):
        np.testing.assert_allclose(closed[name], exact[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hidden", [2, 3])
def test_unspecialized_plateau_of_saad_and_solla(hidden):
    """For small rates, without noise, K = M and an orthonormal teacher: Saad and Solla (1995), eqs. 14 and 15."""
    model = committee.CommitteeModel(hidden=hidden, teacher_hidden=hidden, init=Normal(std=0.5), alignment=0.0)
    found = [
        next(point for point in fixed_points(model.replace(learning_rate=rate)) if point.specialization < 1e-6)
        for rate in (0.01, 0.02)
    ]
    # the first order in the rate is taken out
    error, overlap, length = (
        2 * pick(found[0]) - pick(found[1])
        for pick in (
            lambda point: point.eps_g,
            lambda point: point.teacher_overlap[0, 0],
            lambda point: point.student_overlap[0, 0],
        )
    )
    expected = hidden / np.pi * (np.pi / 6 - hidden * np.arcsin(1 / (2 * hidden)))
    assert error == pytest.approx(expected, rel=1e-3)
    assert overlap == pytest.approx(1 / np.sqrt(hidden * (2 * hidden - 1)), rel=1e-3)
    assert length == pytest.approx(1 / (2 * hidden - 1), rel=1e-3)
    assert all(point.growth > 0 for point in found)
    # linear in the rate for small ones
    assert found[1].growth / found[0].growth == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(("hidden", "weight"), [(1, 1.0), (2, 1.0), (3, 0.5)])
def test_floor_of_label_noise(hidden, weight):
    """First order in rate and noise, K = M: eps_g = eta sigma^2 K v^2/(2 pi sqrt(3)).

    At temperature eta sigma^2/2 every direction of the loss holds half of it; their curvatures sum to K v^2 E[f'^2], as
    in Goldt et al. (2019).
    """
    model = committee.CommitteeModel(
        hidden=hidden,
        teacher_hidden=hidden,
        output_weights=weight,
        teacher_output_weights=weight,
        noise=0.01,
        init=Normal(std=0.5),
        alignment=0.5,
    )
    ratios = []
    for rate in (0.01, 0.02):
        (best, *_) = fixed_points(model.replace(learning_rate=rate))
        assert best.stable
        ratios.append(best.eps_g / (rate * model.noise**2 * hidden * weight**2 / (2 * np.pi * np.sqrt(3))))
    assert 2 * ratios[0] - ratios[1] == pytest.approx(1, rel=1e-3)


def test_trained_output_weights_find_the_teachers():
    model = PLAIN.replace(alignment=0.5, noise=0.0, output_weights=0.5, output_learning_rate=0.5)
    (best, *_) = fixed_points(model)
    np.testing.assert_allclose(best.output_weights, 1.0, atol=1e-5)
    assert best.eps_g == pytest.approx(0, abs=1e-10)
