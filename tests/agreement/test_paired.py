"""Several models on one stream of samples: each run is the one its model makes alone."""

import numpy as np
import pytest

from steode import (
    FOGZO,
    AdditiveNoise,
    ClippedSurrogate,
    Constant,
    Elementwise,
    LinearModel,
    Normal,
    PowerLaw,
    Sign,
    SpecificationError,
    StochasticRounding,
    Uniform,
    simulate,
    simulate_paired,
)

pytestmark = pytest.mark.representative

GRID = Uniform(bits=2, range=2.0)
MODEL = LinearModel(teacher=Normal(), weight_quantizer=GRID, input_quantizer=GRID, learning_rate=0.4, noise=0.3)
TANH = Elementwise("tanh(x)")
GENERAL = MODEL.replace(  # inputs off the grid: no output lies on a threshold by chance
    input_quantizer=Elementwise("x - sin(x)/2"),
    spectrum=PowerLaw(exponent=1.0, count=3),
    weight_quantizer=StochasticRounding(GRID),
    activation=GRID,
    label_quantizer=AdditiveNoise(0.1),
)
OPTIONS = {"seeds": 2, "key": 5, "dtype": "float64", "snapshot_times": [1.0], "test_samples": 11}


@pytest.mark.parametrize(
    "models",
    [
        [
            MODEL,
            MODEL.replace(learning_rate=0.1, noise=0.0, weight_quantizer=Uniform(3, 1.5)),
            MODEL.replace(input_quantizer=Sign(1.0), surrogate=ClippedSurrogate(1.0)),
        ],
        [MODEL.replace(batch_size=3), MODEL.replace(batch_size=3, weight_decay=0.5, init=Constant(0.1))],
        [MODEL.replace(weight_quantizer=TANH), MODEL.replace(weight_quantizer=TANH, learning_rate=0.2)],
        [GENERAL, GENERAL.replace(learning_rate=0.1, activation=Uniform(2, 1.0), label_quantizer=AdditiveNoise(0.3))],
        [MODEL.replace(update_rule=FOGZO(c=2.0, eps=eps)) for eps in (0.2, 0.5)],
    ],
    ids=["quantizers and surrogates", "decay and batches", "smooth maps", "everything around the core", "zeroth order"],
)
def test_each_model_runs_as_it_does_alone(models):
    paired = simulate_paired(models, 30, 1.0, **OPTIONS)
    assert len(paired) == len(models)
    for model, together in zip(models, paired, strict=True):
        alone = simulate(model, 30, 1.0, **OPTIONS)
        assert together.observables.keys() == alone.observables.keys()
        for name in alone.observables:
            assert together[name].shape == alone[name].shape
            np.testing.assert_allclose(together[name], alone[name], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(together.snapshots.weights, alone.snapshots.weights, rtol=1e-9, atol=1e-12)
        assert np.array_equal(together.snapshots.teacher, alone.snapshots.teacher)
        assert together.provenance.specification == alone.provenance.specification


def test_what_cannot_share_samples_is_refused():
    with pytest.raises(SpecificationError, match="same teacher"):
        simulate_paired([MODEL, MODEL.replace(teacher=Constant(1.0))], 10, 1.0)
    with pytest.raises(SpecificationError, match="same batch_size"):
        simulate_paired([MODEL, MODEL.replace(batch_size=2)], 10, 1.0)
    with pytest.raises(SpecificationError, match="one structure"):
        simulate_paired([MODEL, MODEL.replace(weight_quantizer=TANH)], 10, 1.0)
    with pytest.raises(SpecificationError, match="at least one model"):
        simulate_paired([], 10, 1.0)
    with pytest.raises(SpecificationError, match="such as LinearModel"):
        simulate_paired([MODEL, "model"], 10, 1.0)
