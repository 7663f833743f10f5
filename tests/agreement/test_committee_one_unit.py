"""Committee machines with quantized weights: values of another program; one unit as the linear system's output."""

import numpy as np
import pytest

from steode import (
    Constant,
    DerivativeOf,
    Elementwise,
    Identity,
    LinearModel,
    Normal,
    TwoPoint,
    Uniform,
    committee,
    fixed_points,
    solve,
)

pytestmark = pytest.mark.representative

TIMES = [0.0, 2.0, 5.0, 10.0, 20.0]
PLAIN = committee.CommitteeModel(learning_rate=0.5, noise=0.1, init=Normal(std=0.5))
ERF = Elementwise("erf(x/sqrt(2))")


@pytest.mark.parametrize(
    ("changes", "values"),
    [
        (
            {"weight_quantizer": Uniform(bits=2, range=2.0), "init": Normal(std=1.0)},
            [0.685, 0.308, 0.130, 0.0906, 0.0883],
        ),
        (
            {"weight_quantizer": Uniform(bits=3, range=2.0), "learning_rate": 0.3},
            [0.473, 0.190, 0.0671, 0.0341, 0.0307],
        ),
    ],
)
def test_values_of_an_independent_program_with_quantized_weights(changes, values):
    found = solve(PLAIN.replace(**changes), 20.0, times=TIMES, count=4000, tolerance=0.05)
    gap = np.abs(found["eps_g"] - values)
    # 1 % of theirs, and our own statistics
    assert np.all(gap < 0.01 * np.array(values) + 4 * found.error["eps_g"])


LINEAR = LinearModel(
    teacher=TwoPoint(1.0),
    weight_quantizer=Uniform(bits=2, range=2.0),
    init=Normal(std=0.5),
    learning_rate=0.5,
    noise=0.2,
    activation=ERF,
    activation_surrogate=DerivativeOf(ERF),
    teacher_activation=ERF,
)


def one_unit(linear):
    return committee.CommitteeModel(
        hidden=1,
        teacher_hidden=1,
        teacher=linear.teacher,
        weight_quantizer=linear.weight_quantizer,
        input_quantizer=linear.input_quantizer,
        init=linear.init,
        learning_rate=linear.learning_rate,
        noise=linear.noise,
        batch_size=linear.batch_size,
    )


@pytest.mark.parametrize(
    "changes",
    [{}, {"weight_quantizer": Identity(), "input_quantizer": Uniform(bits=2, range=2.0), "batch_size": 2}],
    ids=["quantized weights", "quantized inputs"],
)
def test_one_unit_is_the_output_channel_of_the_linear_system(changes):
    linear = LINEAR.replace(**changes)
    expected, found = (
        solve(model, 10.0, times=[1.0, 4.0, 10.0], method="gaussian") for model in (linear, one_unit(linear))
    )
    np.testing.assert_allclose(found["eps_g"], expected["eps_g"], rtol=2e-4)
    np.testing.assert_allclose(found["teacher_overlap"][:, 0, 0], expected["m"], rtol=2e-4)
    np.testing.assert_allclose(found["student_overlap"][:, 0, 0], expected["q"], rtol=2e-4)


def test_particles_of_one_unit_are_the_density_of_the_linear_system():
    expected = solve(LINEAR, 10.0, times=[1.0, 4.0, 10.0])
    found = solve(one_unit(LINEAR), 10.0, times=[1.0, 4.0, 10.0], count=4000, tolerance=0.05)
    assert found.provenance.method == "particles"
    for name, values in (("eps_g", found["eps_g"]), ("level_fraction", found["level_fraction"][:, 0])):
        error = found.error[name] if name == "eps_g" else found.error[name][:, 0]
        assert np.abs((values - expected[name]) / (error + 1e-4)).max() < 5


def test_a_linear_committee_is_one_linear_unit_of_summed_weights():
    """Output weights 1/sqrt(K) of K linear units with one law: the sum is Gaussian too, and moves K times as fast."""
    linear = LinearModel(teacher=Constant(1.0), init=Normal(std=1.0), learning_rate=0.4, noise=0.1)
    model = committee.CommitteeModel(
        hidden=2,
        teacher_hidden=1,
        activation="linear",
        teacher=Constant(1.0),
        output_weights=2**-0.5,
        learning_rate=0.4,
        noise=0.1,
    )
    expected, found = solve(linear, 10.0, times=[1.0, 5.0]), solve(model, 10.0, times=[1.0, 5.0])
    np.testing.assert_allclose(found["eps_g"], expected["eps_g"], rtol=1e-3)


def test_rest_of_the_closure_is_where_long_particles_are():
    """Plateau and specialized state of quantized weights: what the closure says within a tenth of long particles."""
    model = PLAIN.replace(weight_quantizer=Uniform(bits=3, range=2.0))
    found = fixed_points(model)
    special, plateau = found[0], found[-1]
    assert special.stable
    assert plateau.growth > 0
    assert not special.exact
    assert plateau.specialization < 1e-3 < 0.9 < special.specialization
    long = solve(model.replace(alignment=1.0), 40.0, times=[30.0, 35.0, 40.0], count=4000, tolerance=0.05)
    assert special.eps_g == pytest.approx(long["eps_g"].mean(), rel=0.12)
    # quantized weights leave the plateau more slowly, and end higher
    exact = fixed_points(PLAIN)
    assert plateau.growth < exact[-1].growth
    assert special.eps_g > 5 * exact[0].eps_g
