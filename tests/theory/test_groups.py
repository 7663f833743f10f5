"""Groups of coordinates: several kinds of weights behind one residual."""

import dataclasses

import numpy as np
import pytest

from steode import (
    ClippedSurrogate,
    Constant,
    DerivativeOf,
    Eigenvalues,
    Elementwise,
    FollowingRange,
    Group,
    LinearModel,
    Normal,
    Paired,
    SpecificationError,
    StochasticRounding,
    TwoPoint,
    Uniform,
    UnsupportedError,
    derive,
    fixed_points,
    flips,
    simulate,
    solve,
)
from steode.systems.linear.configuration import from_dict, to_dict

BLOCKWISE = LinearModel(
    teacher=Normal(std=0.25),
    weight_quantizer=Uniform(bits=2, range=0.5),
    learning_rate=0.5,
    noise=0.1,
    groups=(Group(0.5), Group(0.5, teacher=Normal(std=2.0), weight_quantizer=Uniform(bits=2, range=4.0))),
)
PLAIN = LinearModel(teacher=TwoPoint(0.7), weight_quantizer=Uniform(2, 1.0), init=Normal(std=0.5), noise=0.2)
ALIKE = PLAIN.replace(groups=(Group(0.3), Group(0.7)))
TIMES = [0.5, 2.0, 10.0]


def test_fixed_point_of_two_halves():
    (point,) = fixed_points(BLOCKWISE)
    # a calculation of its own, to 2e-4
    assert pytest.approx(0.66250, abs=2e-4) == point.V
    np.testing.assert_allclose(2 * np.array(point.eps_g_by_group), [0.05044, 0.60205], atol=2e-4)
    alone = [(fixed_points(member)[0].V - 0.01) / 2 for member in BLOCKWISE.members]
    np.testing.assert_allclose(alone, [0.01040, 0.62515], atol=2e-4)


def test_a_group_is_at_rest_as_if_alone_at_the_same_temperature():
    rests_as_if_alone(BLOCKWISE, 1.0)


def rests_as_if_alone(model, power):
    """The law of a group depends on eta V (eta sqrt(V) with signs) alone, wherever V comes from."""
    (point,) = fixed_points(model)
    assert sum(point.eps_g_by_group) == pytest.approx(point.eps_g, rel=1e-12)
    for member, share, error in zip(model.members, model.shares, point.eps_g_by_group, strict=True):
        own = 2 * error / share + model.noise**2
        alone = fixed_points(member.replace(learning_rate=model.learning_rate * (point.V / own) ** power))
        assert min(abs(other.V / own - 1) for other in alone) < 1e-9


def test_groups_that_are_alike_are_none():
    whole, grouped = fixed_points(PLAIN)[0], fixed_points(ALIKE)[0]
    assert pytest.approx(whole.V, rel=1e-12) == grouped.V
    assert grouped.deviation == pytest.approx(whole.deviation, rel=1e-12)
    np.testing.assert_allclose(grouped.eps_g_by_group, np.array(ALIKE.shares) * whole.eps_g, rtol=1e-10)
    w = np.linspace(-1, 1, 5)
    np.testing.assert_allclose(grouped.density(w, 0.7, group=1), whole.density(w, 0.7), rtol=1e-10)
    are_one(*(solve(model, 10.0, times=TIMES, method="gaussian") for model in (PLAIN, ALIKE)), 1e-6)


def are_one(whole, grouped, tolerance):
    for name in ("V", "m", "q", "mean_w", "std_w"):
        np.testing.assert_allclose(grouped[name], whole[name], atol=tolerance, err_msg=name)
    np.testing.assert_allclose(grouped["eps_g_by_group"], grouped["eps_g"][:, None] * np.array(ALIKE.shares), rtol=1e-3)


def test_exact_recovery_lasts_by_the_average_gain():
    model = LinearModel(
        teacher=Constant(0.5 / 3),
        weight_quantizer=Uniform(2, 0.5),
        learning_rate=0.2,
        groups=(Group(0.25), Group(0.75, teacher=Constant(4 / 3), weight_quantizer=Uniform(2, 4.0))),
    )
    (point,) = fixed_points(model)
    assert point.V == 0
    gains = [fixed_points(member)[0].gain for member in model.members]
    # the gain is an average over coordinates
    assert point.gain == pytest.approx(np.dot(model.shares, gains), rel=1e-6)
    assert fixed_points(model.replace(groups=(Group(0.25), Group(0.75, teacher=Constant(0.2)))))[0].V > 0


def test_groups_stand_beside_a_file_and_a_derivation():
    assert from_dict(to_dict(BLOCKWISE)) == BLOCKWISE
    table = to_dict(BLOCKWISE)
    for group in table["groups"]:
        # one type fits: it need not be named
        del group["type"]
    assert from_dict(table) == BLOCKWISE
    limit = derive(BLOCKWISE)
    titles = [step.title for step in limit.derivation]
    assert titles.index("groups of coordinates") == titles.index("order parameters") + 1
    assert limit.drift == derive(BLOCKWISE.members[1]).drift


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": (Group(0.5),)}, "groups: expected a tuple of at least two"),
        ({"groups": [Group(0.5), Group(0.5)]}, "groups: expected a tuple"),
        ({"groups": (Group(0.5), Group(0.4))}, "groups: expected shares that sum to 1"),
        ({"teacher": Paired([1.0]), "groups": ALIKE.groups}, "teacher: expected a law of its own"),
        ({"range_rule": FollowingRange(), "groups": ALIKE.groups}, "range_rule: expected FixedRange"),
        ({"surrogate": DerivativeOf(Elementwise("2*tanh(x/2)")), "groups": ALIKE.groups}, "surrogate: expected Id"),
        (
            {"groups": (Group(0.5), Group(0.5, weight_quantizer=StochasticRounding(Uniform(2, 1.0))))},
            r"groups\[1\].weight_quantizer: expected a deterministic",
        ),
        (
            {"groups": (Group(0.5), Group(0.5, surrogate=ClippedSurrogate(0.6666)))},
            r"groups\[1\].surrogate.bound: expected a bound equal to the threshold",
        ),
    ],
)
def test_groups_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(SpecificationError, match=message):
        PLAIN.replace(**changes)


def test_what_is_asked_of_one_kind_alone_is_refused():
    with pytest.raises(SpecificationError, match="share: expected a fraction below 1"):
        Group(1.0)
    with pytest.raises(SpecificationError, match="teacher: expected a law"):
        Group(0.5, teacher=3.0)
    with pytest.raises(UnsupportedError, match="fixed_points: needs one unknown"):
        fixed_points(ALIKE.replace(label_quantizer=Uniform(2, 1.5)))
    with pytest.raises(UnsupportedError, match="needs coordinates of one kind"):
        solve(ALIKE, 1.0, snapshot_times=[1.0])
    with pytest.raises(UnsupportedError, match="flips: every group"):
        flips(fixed_points(ALIKE)[0])
    with pytest.raises(SpecificationError, match="flips: expected False with groups"):
        simulate(ALIKE, 20, 1.0, flips=True)
    with pytest.raises(SpecificationError, match="group: expected the index of one of 2 groups"):
        fixed_points(ALIKE)[0].density([0.0], 0.7)
    with pytest.raises(SpecificationError, match="group: expected None"):
        fixed_points(PLAIN)[0].density([0.0], 0.7, group=0)
    with pytest.raises(SpecificationError, match="dim: expected groups whose sizes"):
        simulate(ALIKE.replace(spectrum=Eigenvalues([0.5, 1.5])), 30, 1.0)
    assert dataclasses.replace(ALIKE, groups=()) == PLAIN
