"""The public names: all listed, nothing else, each with a docstring that says what it takes."""

import ast
import functools
import importlib.metadata
import inspect
import pathlib
import re
import subprocess
import sys
import types

import equinox as eqx
import pytest

import steode

SYSTEMS = {"binary_relu", "classification", "committee", "gradient_flows", "layer", "regression"}
"""The folders of systems beside the linear one, whose names are public too."""
PUBLIC = {name: getattr(steode, name) for name in steode.__all__ if name not in SYSTEMS}
CALLABLES = {name: value for name, value in PUBLIC.items() if callable(value)}
CLASSES = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}
NOUNS = {name: value for name, value in CLASSES.items() if not issubclass(value, Exception)}
VERBS = {name: value for name, value in CALLABLES.items() if name not in CLASSES}
MEMBERS = (types.FunctionType, property, classmethod, functools.cached_property)


def is_documented(value) -> bool:
    text = inspect.getdoc(value) or ""
    # a dataclass without a docstring is given its signature as one
    return len(text.split()) >= 3 and not text.startswith(f"{getattr(value, '__name__', '')}(")


def own_members(kind: type) -> dict[str, object]:
    """Public methods and properties that steode defines on a class, not what it inherits from other packages."""
    members = {}
    for base in kind.__mro__:
        if base.__module__.startswith("steode"):
            for name, value in vars(base).items():
                if not name.startswith("_") and isinstance(value, MEMBERS):
                    members.setdefault(name, getattr(kind, name))
    return members


def test_every_public_name_is_listed_and_nothing_else():
    stub = ast.parse((pathlib.Path(steode.__file__).with_suffix(".pyi")).read_text(encoding="utf-8"))
    imported = [alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    (listed,) = (ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign))
    assert sorted(imported) == sorted(listed) == sorted(steode.__all__)
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize("first", ["steode.systems.linear.solve", "steode.plot", "steode.systems.regression.risk"])
def test_a_public_name_is_the_same_thing_whatever_was_imported_before(first):
    program = (
        f"import importlib, inspect, steode; importlib.import_module({first!r})\n"
        "print({n for n in steode.__all__ if inspect.ismodule(getattr(steode, n))})"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(re.findall(r"'(\w+)'", result.stdout)) == SYSTEMS


def test_listed_names_are_not_modules():
    # steode.solve is the function, although steode/systems/linear/solve.py is imported under the same name
    assert {name for name, value in PUBLIC.items() if isinstance(value, types.ModuleType)} == set()


def test_public_names_are_defined_in_steode():
    assert {
        name: value.__module__ for name, value in CALLABLES.items() if not value.__module__.startswith("steode.")
    } == {}


@pytest.mark.parametrize("name", CALLABLES)
def test_public_name_has_a_docstring(name):
    assert is_documented(CALLABLES[name])


@pytest.mark.parametrize("name", CLASSES)
def test_public_members_have_docstrings(name):
    missing = [
        member for member, value in own_members(CLASSES[name]).items() if not (inspect.getdoc(value) or "").strip()
    ]
    assert missing == []


@pytest.mark.parametrize("name", [*VERBS, *NOUNS])
def test_docstring_mentions_every_argument(name):
    text = inspect.getdoc(PUBLIC[name])
    arguments = inspect.signature(PUBLIC[name]).parameters
    assert [argument for argument in arguments if not re.search(rf"\b{argument}\b", text)] == []


@pytest.mark.parametrize("name", NOUNS)
def test_nouns_are_immutable(name):
    kind = NOUNS[name]
    assert issubclass(kind, eqx.Module) or kind.__dataclass_params__.frozen


def test_version_is_that_of_the_distribution():
    assert steode.__version__ == importlib.metadata.version("steode")
