"""Update rules of a model: what is refused, and files."""

import numpy as np
import pytest

from steode import (
    FOGZO,
    SPSA,
    AdditiveNoise,
    ClippedSurrogate,
    Constant,
    Elementwise,
    Empirical,
    Levels,
    LinearModel,
    Momentum,
    PowerLaw,
    SignSGD,
    SpecificationError,
    Uniform,
    simulate,
    solve,
)
from steode.systems.linear.configuration import from_dict, to_dict

TANH = Elementwise("tanh(x)")
MODEL = LinearModel(
    teacher=Constant(0.7), weight_quantizer=Uniform(bits=2, range=1.5), update_rule=FOGZO(c=2.0, eps=0.3)
)


def test_configuration_keeps_the_rule():
    plain = MODEL.replace(update_rule=SPSA(ratio=0.5, eps=0.2, directions="logistic"))
    moving = MODEL.replace(update_rule=Momentum(0.9, nesterov=True), spectrum=PowerLaw(exponent=1.0, count=3))
    signs = moving.replace(update_rule=SignSGD())
    for model in (MODEL, plain, moving, signs):
        assert from_dict(to_dict(model)) == model
    assert FOGZO.from_beta(0.999, 2000, eps=0.1).c == pytest.approx(2.0)
    assert FOGZO(c=2.0, eps=0.1, n=4).noise_factor == 1.5
    assert FOGZO(c=2.0, eps=0.1, n=4).passes == 10


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: FOGZO(c=-1.0, eps=0.3), "FOGZO.c"),
        (lambda: FOGZO(c=1.0, eps=0.0), "FOGZO.eps"),
        (lambda: FOGZO(c=1.0, eps=0.3, n=0), "FOGZO.n"),
        (lambda: FOGZO(c=1.0, eps=0.3, directions="cauchy"), "FOGZO.directions"),
        (lambda: FOGZO.from_beta(1.5, 100, eps=0.3), "beta"),
        (lambda: Momentum(1.0), "Momentum.beta"),
        (lambda: Momentum(-0.1), "Momentum.beta"),
        (lambda: Momentum(0.9, nesterov=1), "Momentum.nesterov"),
        (lambda: SPSA(ratio=0.0, eps=0.3), "SPSA.ratio"),
        (lambda: SPSA(ratio=0.5, eps=-1.0), "SPSA.eps"),
        (lambda: SPSA(ratio=0.5, eps=0.3, directions="cauchy"), "SPSA.directions"),
        (lambda: MODEL.replace(update_rule=SPSA(ratio=0.5, eps=0.3), weight_quantizer=TANH), "update_rule"),
        (lambda: MODEL.replace(update_rule="fogzo"), "update_rule"),
        (lambda: MODEL.replace(surrogate=ClippedSurrogate(1.2)), "update_rule"),
        (lambda: MODEL.replace(spectrum=PowerLaw(exponent=1.0, count=3)), "update_rule"),
        (lambda: MODEL.replace(weight_quantizer=AdditiveNoise(0.1)), "update_rule"),
        (lambda: MODEL.replace(init=Constant(1.0)), "init"),
        (lambda: MODEL.replace(init=Constant(1.2), weight_decay=0.1), "init"),
        (lambda: MODEL.replace(weight_quantizer=Levels((-3.0, -2.0, -1.0)), init=Constant(-2.5)), "init"),
        (lambda: simulate(MODEL.replace(update_rule=SPSA(ratio=0.01, eps=0.3)), dim=40, t_end=1.0), "dim"),
        # a step may move no weight over much of eps: this one would take months
        (lambda: solve(MODEL.replace(teacher=Constant(1e3), update_rule=SPSA(ratio=0.01, eps=0.01)), 1.0), "times"),
        (lambda: MODEL.replace(init=Empirical(np.array([0.1, 0.2]))), "init"),
        (lambda: simulate(MODEL.replace(update_rule=FOGZO(c=50.0, eps=0.3)), dim=40, t_end=1.0), "dim"),
    ],
)
def test_bad_input_is_refused_by_name(make, argument):
    with pytest.raises(SpecificationError, match=f"^{argument}: "):
        make()


def test_a_stochastic_map_with_spsa_is_named_once():
    with pytest.raises(SpecificationError) as refusal:
        MODEL.replace(weight_quantizer=AdditiveNoise(0.1), update_rule=SPSA(ratio=1.0, eps=0.3))
    assert "with this weight_quantizer, received" in str(refusal.value)
