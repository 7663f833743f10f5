"""Specifications as dictionaries and TOML files: they come back as they were, and mistakes are explained."""

import json

import numpy as np
import pytest
import sympy

from steode.errors import SpecificationError
from steode.parts.configuration import load_toml
from steode.parts.elementwise import Elementwise
from steode.parts.laws import Constant, Discrete, Empirical, Laplace, Normal, TwoPoint, UniformLaw
from steode.parts.quantizers import Identity, Levels, Sign, SignedInteger, Ternary, Uniform
from steode.systems.linear.configuration import from_dict, to_dict
from steode.systems.linear.spec import ClippedSurrogate, LinearModel

x = sympy.Symbol("x", real=True)

LAWS = [
    Constant(0.3),
    TwoPoint(1.5, 0.3),
    Discrete((0.1, -1.0), (0.25, 0.75)),
    Discrete((1.0, 2.0)),
    Normal(mean=0.1, std=0.7),
    Laplace(mean=-0.2, scale=1.3),
    UniformLaw(-1.0, 0.5),
    Empirical([0.1, -0.7, 3.0]),
]
MAPS = [
    Identity(),
    Uniform(3, 1.7),
    Uniform(3, 1.7, "mid-tread"),
    Sign(0.4),
    Ternary(2.0),
    Levels((-1.0, 0.1, 1.0)),
    Levels((-1.0, 1.0), (0.25,)),
    SignedInteger(4, 0.9),
    Elementwise(sympy.tanh(2 * x)),
    Elementwise(x + x**3 / 10),
    Elementwise(sympy.Max(sympy.Min(x, 1), -1)),
]


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_laws_come_back_as_they_were(law):
    model = LinearModel(teacher=law, init=law, learning_rate=0.37, noise=0.01)
    assert from_dict(json.loads(json.dumps(to_dict(model)))) == model


@pytest.mark.parametrize("entrywise_map", MAPS, ids=repr)
def test_maps_come_back_as_they_were(entrywise_map):
    inputs = entrywise_map if entrywise_map.is_odd else Identity()
    model = LinearModel(
        teacher=Constant(1.0),
        weight_quantizer=entrywise_map,
        input_quantizer=inputs,
        surrogate=ClippedSurrogate(1.5, lower=-0.5),
    )
    assert from_dict(json.loads(json.dumps(to_dict(model)))) == model


def test_a_toml_file_describes_a_model(tmp_path):
    np.save(tmp_path / "weights.npy", np.array([0.5, -0.25]))
    path = tmp_path / "model.toml"
    path.write_text(
        'learning_rate = 0.2\nweight_quantizer = {type = "Uniform", bits = 2, range = 2.0}\n'
        'input_quantizer = {type = "Elementwise", expression = "tanh(x)"}\n'
        '[teacher]\ntype = "Empirical"\nvalues = "weights.npy"\n[surrogate]\ntype = "ClippedSurrogate"\nbound = 1\n'
    )
    assert from_dict(load_toml(path), tmp_path) == LinearModel(
        teacher=Empirical([0.5, -0.25]),
        weight_quantizer=Uniform(2, 2.0),
        input_quantizer=Elementwise(sympy.tanh(x)),
        surrogate=ClippedSurrogate(1.0),
        learning_rate=0.2,
    )


TEACHER = {"teacher": {"type": "Constant", "value": 1.0}}
MISTAKES = {
    "misspelt key": (TEACHER | {"learning_rat": 0.1}, "learning_rat.*Did you mean 'learning_rate'"),
    "misspelt type": ({"teacher": {"type": "Constnat", "value": 1.0}}, r"teacher\.type.*Did you mean 'Constant'"),
    "no type": ({"teacher": {"value": 1.0}}, r"teacher\.type: expected one of Constant"),
    "unknown argument": ({"teacher": {"type": "Constant", "valve": 1.0}}, r"teacher\.valve.*Did you mean 'value'"),
    "missing argument": ({"teacher": {"type": "Constant"}}, "arguments of Constant.*value"),
    "missing teacher": ({}, "arguments of LinearModel.*teacher"),
    "refused number": (TEACHER | {"learning_rate": -0.1}, "learning_rate: expected a number > 0"),
    "text for a number": (
        TEACHER | {"learning_rate": "0.1"},
        "learning_rate: expected a number, or an expression in tau",
    ),
    "another name of time": (TEACHER | {"learning_rate": "0.1/(1 + t)"}, r"For example \"0.1/\(1 \+ tau\)\""),
    "a bare name": (
        {"teacher": "constant"},
        'teacher: expected a table, received .constant.. Write {type = "Constant"',
    ),
    "a missing type": ({"teacher": {"value": 1.0}}, 'teacher.type: expected one of .* Say which: {type = "Constant"'),
    "near name of a type": (TEACHER | {"weight_quantizer": {"type": "uniform", "bits": 2}}, "Did you mean 'Uniform'"),
    "number for a table": ({"teacher": 1.0}, "teacher: expected a law"),
    "law for a map": (
        TEACHER | {"weight_quantizer": TEACHER["teacher"]},
        "weight_quantizer: expected an entrywise map",
    ),
    "not a table": ([], "expected a table"),
}


@pytest.mark.parametrize(("table", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_in_a_table_are_explained(table, message):
    with pytest.raises(SpecificationError, match=message):
        from_dict(table)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').getcwd()",
        "x.diff",
        "tanh(x",
        "y + x",
        "x if x else 1",
        "[x]",
        "lambda: x",
        "x; x",
        "tanh(x)='a'",
    ],
)
def test_an_expression_that_is_not_a_plain_formula_is_refused(text):
    table = TEACHER | {"weight_quantizer": {"type": "Elementwise", "expression": text}}
    with pytest.raises(SpecificationError, match="expression"):
        from_dict(table)


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(SpecificationError, match="a readable TOML file"):
        load_toml(tmp_path / "missing.toml")
    for content in (b"learning_rate = ", b"\xff\xfe"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(SpecificationError, match="valid TOML"):
            load_toml(tmp_path / "bad.toml")
