"""The public names: all listed, nothing else, each with a docstring that says what it takes."""

import functools
import importlib.metadata
import inspect
import re
import types

import equinox as eqx
import pytest

import steode

PUBLIC = {name: getattr(steode, name) for name in steode.__all__}
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
    present = {
        name
        for name, value in vars(steode).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert present == {name for name in steode.__all__ if not name.startswith("_")}
    assert len(set(steode.__all__)) == len(steode.__all__)


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
