"""V = 0 in every kind of model: where it is stationary, its gain, and runs on either side of the threshold."""

import numpy as np
import pytest
import sympy

from steode import (
    FOGZO,
    AdditiveNoise,
    Constant,
    DerivativeOf,
    Discrete,
    Eigenvalues,
    Elementwise,
    Levels,
    LinearModel,
    MultiplicativeNoise,
    Normal,
    Sign,
    StochasticRounding,
    TwoPoint,
    Uniform,
    fixed_points,
    simulate,
    stability,
)

TANH = Elementwise(sympy.tanh(sympy.Symbol("x")))
SEVEN = Levels(range(-3, 4))
BASE = LinearModel(weight_quantizer=SEVEN, teacher=TwoPoint(1.0), learning_rate=0.5)
BOTH_TANH = {"activation": TANH, "teacher_activation": TANH}
DIM = 3000


def representative(*values, **options):
    return pytest.param(*values, marks=pytest.mark.representative, **options)


# gains over the learning rate; None: V = 0 is not stationary
@pytest.mark.parametrize(
    ("options", "gain"),
    [
        ({"spectrum": Eigenvalues([0.5, 2.5]), "batch_size": 2}, 0.75),
        representative({"update_rule": FOGZO(c=2.0, eps=0.3)}, 6.0),
        ({"weight_quantizer": StochasticRounding(SEVEN)}, np.inf),
        ({"weight_quantizer": StochasticRounding(SEVEN), "teacher": Constant(0.5)}, None),
        ({"weight_quantizer": MultiplicativeNoise(0.1)}, None),
        ({"weight_quantizer": MultiplicativeNoise(0.1), "teacher": Constant(0.0)}, 0.55),
        ({"weight_quantizer": AdditiveNoise(0.1), "teacher": Constant(0.0)}, None),
        ({"spectrum": Eigenvalues([0.5, 1.5]), "input_quantizer": Uniform(3, 2.0)}, None),
        ({"spectrum": Eigenvalues([0.5, 1.5]), "noise": 0.1}, None),
        ({"label_quantizer": MultiplicativeNoise(0.1)}, None),
        ({"teacher": Constant(0.0), "weight_decay": 0.1, "spectrum": Eigenvalues([0.5, 1.5])}, 0.0),
        ({"weight_quantizer": TANH, "teacher": TwoPoint(0.6), "spectrum": Eigenvalues([0.5, 1.5])}, 0.32),
        ({"activation": Sign(), "teacher_activation": Sign()}, np.inf),
        ({"activation": TANH}, None),
        ({**BOTH_TANH, "residual_quantizer": Uniform(3, 2.0), "noise": 0.2}, None),
    ],
)
def test_gain(options, gain):
    found = fixed_points(BASE.replace(**options))
    recovered = [point for point in found if point.kind == "exact recovery"]
    assert len(recovered) == (gain is not None)
    assert all(point.V > 0 for point in found if point.kind == "regular")
    if recovered:
        assert recovered[0].gain / 0.5 == pytest.approx(gain, rel=1e-6)
        assert recovered[0].stable == (gain * 0.5 < 1)


def near_recovery(model: LinearModel, t_end: float) -> np.ndarray:
    """Final error of two runs whose weights fill the cells of their targets, one in a hundred beyond."""
    generator = np.random.default_rng(0)
    teacher = np.where(np.arange(DIM) % 2 == 0, 1.0, -1.0)
    initial = teacher + generator.uniform(-0.5, 0.5, DIM)
    initial[: DIM // 100] += 1
    arrays = {"teacher_weights": teacher, "initial_weights": initial}
    return simulate(model, DIM, t_end, seeds=2, key=1, times=[t_end], **arrays)["eps_g"][:, 0]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"spectrum": Eigenvalues([0.2, 1.8])},
        {"weight_quantizer": Levels(range(-3, 4), [-2.5, -1.4, -0.6, 0.6, 1.4, 2.5])},
        BOTH_TANH,
        representative({**BOTH_TANH, "activation_surrogate": DerivativeOf(TANH)}),
    ],
    ids=["plain", "spectrum", "narrow cells", "tanh", "tanh and its derivative"],
)
def test_runs_near_recovery_stay_below_the_threshold_and_leave_above_it(options):
    model = BASE.replace(**options)
    threshold = fixed_points(model)[0].threshold_learning_rate
    # the cells of +-1 are 0.8 wide in the third model, with weights beyond them from the start
    assert np.all(near_recovery(model.replace(learning_rate=0.85 * threshold), 30.0) == 0)
    assert np.all(near_recovery(model.replace(learning_rate=1.2 * threshold), 30.0) > 0.01)


@pytest.mark.representative
def test_a_teacher_on_the_last_level_is_recovered_exactly_in_a_finite_time():
    model = LinearModel(teacher=Constant(2.0), weight_quantizer=Uniform(2, 2.0), learning_rate=0.1, init=Normal())
    (point,) = fixed_points(model)
    assert (point.kind, point.stable) == ("exact recovery", True)
    assert np.isnan(stability(point).relaxation_time)
    errors = simulate(model, 1000, 30.0, seeds=4, times=[10.0, 20.0, 30.0])["eps_g"]
    assert np.all(errors[:, 0] > 0.3)
    assert np.all((errors[:, 1] > 0.002) & (errors[:, 1] < 0.04))
    assert np.all(errors[:, 2] == 0)


def test_with_noise_the_share_of_the_last_level_falls_as_the_inverse_square_root_of_time():
    model = LinearModel(
        teacher=Constant(2.0), weight_quantizer=Uniform(2, 2.0), learning_rate=0.3, noise=0.3, init=Normal()
    )
    found = fixed_points(model)
    assert found.on_last_level == 1
    assert pytest.approx(0.09) == found[0].V
    times = np.concatenate([np.linspace(80.0, 120.0, 41), np.linspace(320.0, 480.0, 81)])
    errors = simulate(model, 1000, 480.0, seeds=24, times=times)["eps_g"]
    early, late = errors[:, :41].mean(axis=1), errors[:, 41:].mean(axis=1)
    power = np.log(early.mean() / late.mean()) / np.log(4)
    error = np.hypot(*(part.std(ddof=1) / part.mean() / np.sqrt(24) for part in (early, late))) / np.log(4)
    assert error < 0.06
    assert abs(power - 0.5) < 3 * error + 0.03


def test_mixed_targets_leave_those_on_the_last_level_out_of_the_gain():
    model = LinearModel(
        teacher=Discrete((2.0, 2 / 3)), weight_quantizer=Levels((-2, -2 / 3, 2 / 3, 2)), learning_rate=0.3
    )
    found = fixed_points(model)
    assert found[0].gain == pytest.approx(0.15, rel=1e-9)
    assert found.on_last_level == 0.5


def test_the_quadrature_error_of_a_spectrum_is_estimated():
    """Within it the fixed point is that of a law with twice the nodes, and it is no exact zero."""
    model = LinearModel(weight_quantizer=Uniform(2, 2.0), teacher=Normal(), noise=0.1)
    (point,) = fixed_points(model.replace(spectrum=Eigenvalues([0.999999999, 1.000000001])))
    (isotropic,) = fixed_points(model)
    assert 0 < point.quadrature_error < 1e-4
    assert abs(point.V / isotropic.V - 1) < 3 * point.quadrature_error + 1e-8


@pytest.mark.representative
def test_columns_that_are_not_defined_are_left_out():
    text = repr(fixed_points(LinearModel(teacher=Constant(0.7), weight_quantizer=SEVEN, activation=Uniform(3, 2.0))))
    assert "nan" not in text
    assert "dithering" not in text
