"""What the derivation of the classification system claims, against integrals, samples and training."""

import numpy as np
import pytest
import scipy.integrate
import sympy

from steode import classification
from steode.systems.classification import ClassificationModel
from steode.systems.classification import symbols as sym

pytestmark = pytest.mark.representative

ONE_SIDED = ("relu", "clipped relu", "exponential tail", "logarithmic tail")
ADMISSIBLE = ("relu", "exponential tail", "logarithmic tail")


def start_of(model, scale=1.0, key=0):
    return np.random.default_rng(key).normal(0, scale, (model.neurons, sum(model.dimensions)))


@pytest.mark.parametrize("surrogate", ["identity", "clipped relu", "exp(-(x - 1)**2)"])
def test_integrals_agree_with_samples(surrogate):
    model = ClassificationModel(neurons_per_class=(4, 3, 5), surrogate=surrogate, vote=0.7)
    weights = start_of(model)
    exact = classification.gradients(model, weights)
    measured = classification.sampled_gradients(model, weights, 60_000, key=1)
    for name, error in measured.errors.items():
        difference = np.abs(getattr(exact, name) - getattr(measured, name))
        # the integral over lengths is good to 1e-3
        assert (difference < 4.5 * error + 1e-3).all()


@pytest.mark.parametrize("surrogate", ["relu", "identity"])
def test_arcs_are_the_derived_ones(surrogate):
    """An own neuron in a plane where the next class, saturated, wins wherever one of its neurons is on."""
    model = ClassificationModel(classes=2, neurons_per_class=1, bits=1, surrogate=surrogate, radii=(1.0, 3.0), vote=1.5)
    weights = np.zeros((2, 4))
    weights[0, :2], weights[1, :2] = (2.0, 0.0), (0.0, 1.0)
    found = classification.gradients(model, weights).coarse[0, :2]
    # on for -90 to 90 degrees; the other for 0 to 180: loss everywhere but from -90 to 0 degrees
    ends = (0, np.pi / 2) if surrogate == "relu" else (0, 3 * np.pi / 2)
    values = {sym.phi_1: ends[0], sym.phi_2: ends[1], sym.C: 2, sym.v: 1.5, sym.r_0: 1, sym.r_1: 3}
    arc = [float(part.subs(values)) for part in classification.derive(model).arc]
    np.testing.assert_allclose(found, arc, atol=1e-12)


def test_arc_of_any_surrogate_is_the_shown_integral():
    model = ClassificationModel(classes=2, neurons_per_class=1, bits=2, surrogate="logarithmic tail", radii=(1.0, 3.0))
    weights = np.zeros((2, 4))
    weights[0, :2], weights[1, :2] = (2.0, 0.0), (0.0, 50.0)
    found = classification.gradients(model, weights, lengths=200).coarse[0, :2]

    def inside(phi, r, direction):
        return -model.slope(2 * r * np.cos(phi)) * r * direction(phi) / (2 * np.pi) / 2 / 2

    # loss wherever the other is on, all but for a sliver saturated
    expected = [scipy.integrate.dblquad(inside, 1, 3, 0, np.pi / 2, args=(d,))[0] for d in (np.cos, np.sin)]
    np.testing.assert_allclose(found, expected, rtol=0.02)
    assert all(part.has(sympy.Integral) for part in classification.derive(model).arc)


@pytest.mark.parametrize("surrogate", ONE_SIDED)
def test_own_neurons_grow_and_rivals_shrink_along_themselves(surrogate):
    model = ClassificationModel(surrogate=surrogate)
    for key in range(2):
        weights = start_of(model, key=key)
        coarse = classification.gradients(model, weights).coarse
        for number, block in enumerate(model.blocks):
            along = (weights[:, block] * coarse[:, block]).sum(axis=1)
            own = model.votes == number
            assert along[own].max() <= 1e-12
            assert along[~own].min() >= -1e-12


@pytest.mark.parametrize("bits", [1, 2])
def test_without_rivals_perfect_means_covered(bits):
    """Other neurons without any part in the plane: no loss if and only if 0 lies inside the hull of the own ones."""
    model = ClassificationModel(classes=2, neurons_per_class=4, bits=bits)
    found = []
    for key in range(12):
        weights = start_of(model, scale=0.1, key=key)
        weights[4:, :2] = weights[:4, 2:] = 0
        found += [(state.kind == "perfect", state.covered) for state in classification.examine(model, weights)]
    assert {perfect is covered for perfect, covered in found} == {True}
    assert len(set(found)) == 2


@pytest.mark.parametrize("vote", [1.0, 0.4])
def test_depth_of_the_hull_certifies_perfection(vote):
    model = ClassificationModel(classes=2, neurons_per_class=4, bits=4, vote=vote)
    weights = classification.trapped(model.replace(vote=1.0, neurons_per_class=4), "saturated")
    first, second = model.blocks
    weights[4:, first] *= 0.01 / np.linalg.norm(weights[4:, first], axis=1, keepdims=True)
    weights[:4, second] = weights[4:, first]
    # four rivals on the lowest level: 4 and the margin are needed
    wanted = 4 + model.margin
    for number, block in enumerate(model.blocks):
        own = model.votes == number
        reached = classification.depth(weights[own, block])
        weights[own, block] *= (wanted - 0.5) / reached
        assert classification.depth(weights[own, block]) == pytest.approx(wanted - 0.5)
    assert {state.kind for state in classification.examine(model, weights)} == {"perfect"}


def test_classes_train_apart():
    model = ClassificationModel()
    weights = start_of(model)
    changed = weights.copy()
    changed[:, model.blocks[2]] += 1.0
    before, after = (classification.gradients(model, given).coarse for given in (weights, changed))
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert np.abs(before[:, 4:] - after[:, 4:]).max() > 0.01


def test_one_bit_never_classifies_perfectly_with_equal_numbers():
    model = ClassificationModel(bits=1)
    assert classification.derive(model).pair_lead.subs({sym.n_y: 6, sym.n_i: 6, sym.q: 1, sym.m: 1}) < 0
    for key in range(5):
        assert classification.gradients(model, start_of(model, key=key)).positive.min() > 0


def test_the_identity_shifts_neurons_together_and_fails():
    model = ClassificationModel(surrogate="identity", dimensions=3, batch=32)
    runs = classification.simulate(model, 500, seeds=3, record=[0, 50, 500], dtype="float64")
    for number in range(model.classes):
        own, others = runs.neurons(number)
        # rivals of one class are shifted together too
        for group in (own, others[:, :, :8], others[:, :, 8:]):
            apart = group - group[:, :, :1]
            np.testing.assert_allclose(apart, np.broadcast_to(apart[:, :1], apart.shape), atol=1e-11)
    assert all(len(classification.obstacles(model, start)) == 3 for start in runs.weights[:, 0])
    assert not runs.perfect.any()
    moved = np.abs(runs.weights[:, 2] - runs.weights[:, 0]).max()
    assert moved > 0.1


def test_saturated_states_trap_the_clipped_relu_alone():
    """Covered in every class, loss, and no coarse gradient: an open set, left by every surrogate with a lower bound."""
    model = ClassificationModel(neurons_per_class=3, bits=3, surrogate="clipped relu", step=2.0)
    weights = classification.trapped(model, "saturated")
    noise = 1 + 0.02 * np.random.default_rng(0).standard_normal((3, *weights.shape))
    for start in (weights, weights * noise[0]):
        for state in classification.examine(model, start):
            assert (state.kind, state.covered, state.coarse) == ("trapped", True, 0)
            assert state.loss == pytest.approx(1 / 6, abs=0.02)
        for other in ADMISSIBLE:
            assert {state.kind for state in classification.examine(model.replace(surrogate=other), start)} == {"moving"}
    options = {"seeds": 3, "init": weights * noise, "record": [0, 4000]}
    stuck = classification.simulate(model, 4000, **options)
    np.testing.assert_array_equal(stuck.weights[:, 0], stuck.weights[:, 1])
    assert stuck.loss[:, -1].min() > 0.1
    assert classification.simulate(model.replace(surrogate="relu"), 4000, **options).perfect.all()


@pytest.mark.parametrize("surrogate", ONE_SIDED)
def test_uncovered_states_trap_every_one_sided_surrogate(surrogate):
    model = ClassificationModel(neurons_per_class=3, bits=2, surrogate=surrogate)
    weights = classification.trapped(model, "uncovered")
    noise = 1 + 0.02 * np.random.default_rng(0).standard_normal((3, *weights.shape))
    for start in (weights, weights * noise[0]):
        for state in classification.examine(model, start):
            assert (state.kind, state.covered, state.coarse) == ("trapped", False, 0)
    identity = classification.examine(model.replace(surrogate="identity"), weights)
    assert {state.kind for state in identity} == {"moving"}


def test_states_of_rest_of_a_covered_class_are_perfect():
    """At the end of training: covered and not perfect never rests, for an admissible surrogate."""
    model = ClassificationModel(neurons_per_class=3, step=1.0)
    runs = classification.simulate(model, 1500, seeds=8, record=[0, 1500])
    kinds = [state for seed in range(8) for state in classification.examine(model, runs.weights[seed, -1])]
    assert {state.kind for state in kinds if state.covered} <= {"perfect", "moving"}
    assert {state.kind for state in kinds if not state.covered} <= {"trapped", "moving"}
    # training covers classes that chance had left uncovered
    assert runs.covered().mean() > runs.covered(0).mean() + 0.2


def test_states_in_other_dimensions_are_measured():
    model = ClassificationModel(classes=2, dimensions=(1, 3), neurons_per_class=(4, 6))
    weights = start_of(model)
    states = classification.examine(model, weights)
    assert [state.number for state in states] == [0, 1]
    assert {state.kind for state in states} <= {"perfect", "moving"}
