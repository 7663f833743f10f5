"""Classes in orthogonal subspaces: bad input is refused, admissibility is reported, files say the same model."""

import pathlib

import numpy as np
import pytest
import sympy

from steode import SpecificationError, UnsupportedError, classification
from steode.systems.binary_relu.surrogates import X
from steode.systems.classification import ClassificationModel, surrogate_report
from steode.systems.classification import symbols as sym


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("classes", 1),
        ("dimensions", 0),
        ("dimensions", (2, 2)),
        ("neurons_per_class", (4, 4)),
        ("neurons_per_class", 0),
        ("neurons", 2),
        ("neurons", 10),
        ("input_dimension", 5),
        ("bits", 0),
        ("bits", 1.5),
        ("step", 0.0),
        ("batch", 0),
        ("batch", "all"),
        ("radii", (2.0, 1.0)),
        ("radii", (0.0, 1.0)),
        ("radii", 1.0),
        ("vote", -1.0),
        ("init_scale", 0.0),
        ("rotated", 1),
        ("surrogate", "sigmoid"),
        ("surrogate", X),
        ("surrogate", 40 - sympy.Max(X, 0)),
        ("surrogate", "import os, x"),
    ],
)
def test_bad_arguments_are_refused(argument, value):
    with pytest.raises(SpecificationError, match=argument):
        ClassificationModel(**{argument: value})


def test_numbers_have_to_add_up():
    with pytest.raises(SpecificationError, match="neurons: expected the sum 18"):
        ClassificationModel(neurons_per_class=6, neurons=17)
    with pytest.raises(SpecificationError, match=r"dimensions \(2, 3, 4\) need at least 9"):
        ClassificationModel(dimensions=(2, 3, 4), input_dimension=8)
    with pytest.raises(SpecificationError, match="batch: expected subspaces of dimension 2"):
        ClassificationModel(dimensions=3, batch="population")


def test_neurons_are_said_in_three_ways():
    assert ClassificationModel(dimensions=(1, 2, 3)).neurons_per_class == (4, 6, 8)
    assert ClassificationModel(neurons=12).neurons_per_class == (4, 4, 4)
    model = ClassificationModel(neurons_per_class=(4, 5, 6), neurons=15)
    np.testing.assert_array_equal(model.votes, [0] * 4 + [1] * 5 + [2] * 6)
    assert model.replace(neurons=9).neurons_per_class == (3, 3, 3)
    assert model.replace(bits=3).neurons == 15
    assert model.replace(dimensions=4).input_dimension == 12
    assert (model.margin, model.replace(vote=0.4).margin, model.replace(vote=0.25).margin) == (1, 3, 4)


@pytest.mark.parametrize(
    ("surrogate", "admissible", "zero", "lower", "everywhere", "upper"),
    [
        ("relu", True, True, 1, 1, 1),
        ("exponential tail", True, True, np.exp(-4), 0, 1),
        ("logarithmic tail", True, True, 1 / 5, 0, 1),
        ("clipped relu", False, True, 0, 0, 1),
        ("identity", False, False, 1, 1, 1),
        ("Heaviside(x)*(1 + x)", False, True, 1, 1, np.inf),
        ("1/(1 + x**2)", False, False, 1 / (1 + 28**2), 0, 1),
        ("Max(0, 1 - Abs(x - 1))", False, True, 0, 0, 1),
    ],
)
def test_admissibility_and_why(surrogate, admissible, zero, lower, everywhere, upper):
    report = surrogate_report(surrogate, 3)
    assert (report.admissible, report.zero_below, report.symbolic) == (admissible, zero, True)
    assert report.lower == pytest.approx(lower)
    assert (report.lower_everywhere, report.upper) == (everywhere, upper)
    assert ("not admissible" in repr(report)) is not admissible


def test_bounds_that_are_not_monotone_come_from_a_grid():
    report = surrogate_report("Heaviside(x)*(2 + sin(x))", 2)
    assert not report.symbolic
    assert (report.lower, report.upper) == (pytest.approx(1, abs=1e-4), pytest.approx(3, abs=1e-4))


def test_negative_derivative_beyond_the_usual_range_is_refused():
    with pytest.raises(SpecificationError, match="an infimum of"):
        surrogate_report("Heaviside(x)*(40 - x)", 2)


def test_surrogates_of_another_system_are_ones_own():
    """Its clipped ReLU ends at 1, not at the highest level."""
    from steode.systems.binary_relu.surrogates import SURROGATES

    model = ClassificationModel(surrogate=SURROGATES["clipped relu"])
    assert model.surrogate.name == "own"
    assert (model.slope(0.5), model.slope(1.5), ClassificationModel(surrogate="clipped relu").slope(1.5)) == (1, 0, 1)
    assert ClassificationModel(surrogate=model.surrogate) == model


def test_hull_and_chance():
    triangle = np.array([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert classification.spans(triangle)
    assert not classification.spans(triangle + np.array([[1.5, 0.0]]))
    assert not classification.spans(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]))
    assert classification.spans(np.array([[1.0], [-2.0]]))
    simplex = np.vstack([np.eye(4), -np.ones((1, 4))])
    assert classification.spans(simplex)
    assert not classification.spans(simplex[:4])
    assert not classification.spans(np.abs(np.random.default_rng(0).standard_normal((9, 3))))
    # the nearest side of the triangle is x = -1, or the line from (1, 0) to (-1, 1)
    assert classification.depth(triangle) == pytest.approx(1 / np.sqrt(5))
    assert classification.depth(triangle[:2]) == 0
    assert classification.depth(np.array([[1.0], [-2.0]])) == 1
    # by hand: three directions in the plane lie in a half-plane with probability 3/4
    assert classification.covering_probability(3, 2) == 0.25
    assert classification.covering_probability(3, 3) == 0


def test_files_say_the_same_model(tmp_path):
    for changes in ({}, {"dimensions": (1, 2, 3), "rotated": True}, {"surrogate": "Heaviside(x)/(1 + x**2)"}):
        model = ClassificationModel(**changes)
        assert classification.from_dict(classification.to_dict(model)) == model
    (tmp_path / "spec.toml").write_text(
        'system = "classification"\n[model]\nbits = 3\n[vary]\nparameter = "surrogate"\nvalues = ["relu", "identity"]\n'
    )
    study = classification.read_study(tmp_path / "spec.toml", {"model.bits": 2, "run.steps": 7})
    assert [model.bits for model in study.cases.values()] == [2, 2]
    assert (list(study.cases), study.settings.steps) == (["surrogate = relu", "surrogate = identity"], 7)


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ('system = "binary_relu"', "system"),
        ("[modle]", "modle"),
        ("[model]\nbit = 2", "model.bit"),
        ("[run]\nsteps = 0", "run.steps"),
        ("[run]\nstep = 1", "run.step"),
        ('[vary]\nparameter = "bits"', "vary"),
        ('[vary]\nparameter = "bits"\nvalues = []', "vary"),
        ("run = 3", "run"),
    ],
)
def test_mistakes_in_files_are_explained(tmp_path, text, argument):
    (tmp_path / "spec.toml").write_text(text)
    with pytest.raises(SpecificationError, match=argument):
        classification.read_study(tmp_path / "spec.toml")


def test_every_symbol_has_a_meaning():
    """The table of symbols in docs/classification.md names every symbol of the derivation."""
    page = pathlib.Path(__file__).parents[2] / "docs" / "classification.md"
    table = page.read_text("utf-8").partition("| symbol | meaning |")[2].partition("\n\n")[0]
    symbols = {value for value in vars(sym).values() if isinstance(value, sympy.Symbol)}
    # a sum without one neuron, which differentiation removes
    names = {sympy.latex(symbol).replace("{", "").replace("}", "") for symbol in symbols - {sym.rest}}
    assert {name for name in names if f"${name}$" not in table} == set()


def test_requests_are_checked_before_anything_runs():
    model = ClassificationModel()
    for wrong in ({"steps": 0}, {"seeds": 0}, {"record": (3, 2)}, {"record": (0, 99)}, {"init": np.ones(3)}):
        with pytest.raises(SpecificationError):
            classification.simulate(model, **({"steps": 10} | wrong))
    with pytest.raises(SpecificationError, match="weights"):
        classification.gradients(model, np.ones((18, 5)))
    with pytest.raises(UnsupportedError, match="sampled_gradients"):
        classification.gradients(model.replace(dimensions=3), np.ones((18, 9)))
    with pytest.raises(SpecificationError, match="kind"):
        classification.trapped(model, "stuck")
    with pytest.raises(SpecificationError, match="Raise bits"):
        classification.trapped(model, "saturated")
    with pytest.raises(SpecificationError, match="model"):
        classification.simulate(None, 10)


def test_obstacles_are_counted():
    assert classification.obstacles(ClassificationModel()) == ()
    assert len(classification.obstacles(ClassificationModel(bits=1))) == 3
    assert "cannot cover 3 dimensions" in classification.obstacles(ClassificationModel(dimensions=3, neurons=9))[0]
    # more neurons for one class, one bit: it can do without, but not the others
    found = classification.obstacles(ClassificationModel(classes=2, bits=1, neurons_per_class=(6, 4)))
    assert [text[:7] for text in found] == ["class 1"]
