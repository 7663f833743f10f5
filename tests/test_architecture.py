"""The shape of the package: which module may import which, what `import steode` costs, how long a file may be."""

import ast
import pathlib
import subprocess
import sys
import tomllib

import importlinter.cli
import pytest

ROOT = pathlib.Path(__file__).parents[1]
STEODE = ROOT / "steode"
SOURCES = sorted(STEODE.rglob("*.py"))
MOST_ROOMS = 12
"""Files and folders at the top of the package, beside `__init__.py` and the version."""
LONGEST = 300
"""Lines after which a file holds a second idea."""


def direct_imports(path: pathlib.Path) -> set[str]:
    """Top-level names of the packages a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def test_import_contracts_are_kept(capsys):
    status = importlinter.cli.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == importlinter.cli.EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_every_module_has_a_place_in_the_layers():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = next(contract for contract in config["tool"]["importlinter"]["contracts"] if contract["type"] == "layers")
    placed = {name.strip().split(".")[1] for layer in layers["layers"] for name in layer.split("|")}
    modules = {path.relative_to(STEODE).parts[0].removesuffix(".py") for path in SOURCES}
    assert placed == modules - {"__init__", "__main__"}


JAXES = {"jax", "jaxlib", "jaxtyping", "equinox", "diffrax", "optimistix", "lineax"}


def test_only_the_bridge_imports_both_sympy_and_jax():
    both = [path for path in SOURCES if "sympy" in direct_imports(path) and JAXES & direct_imports(path)]
    assert both == [STEODE / "bridge.py"]


SYMBOLS = sorted(
    path for room in ("symbolic", "parts", "systems/linear/derivations") for path in (STEODE / room).rglob("*.py")
)
ROOMS = ("solvers", "engine", "systems/linear/literal")
NUMBERS = sorted(path for room in ROOMS for path in (STEODE / room).glob("*.py"))


@pytest.mark.parametrize("path", SYMBOLS, ids=lambda path: str(path.relative_to(STEODE)))
def test_no_jax_among_the_symbols(path):
    assert direct_imports(path) & JAXES == set()


@pytest.mark.parametrize("path", NUMBERS, ids=lambda path: str(path.relative_to(STEODE)))
def test_no_sympy_among_the_numbers(path):
    assert "sympy" not in direct_imports(path)


def test_there_are_few_rooms():
    rooms = {path.name for path in STEODE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert len(rooms - {"__init__.py", "_version.py"}) <= MOST_ROOMS


HEAVY = ("jax", "sympy", "scipy", "numpy", "xarray", "matplotlib", "typer", "steode.")


@pytest.mark.parametrize(
    ("first", "absent"),
    [
        ("", HEAVY),
        ("import steode.cli", ("jax", "sympy", "scipy", "xarray", "matplotlib")),
        ("steode.solve, steode.LinearModel", ("matplotlib", "steode.plot", "steode.cli", "typer")),
    ],
)
def test_import_steode_loads_nothing_before_it_is_asked_for(first, absent):
    program = f"import sys, steode\n{first}\nprint([name for name in sys.modules if name.startswith({absent!r})])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"
    assert result.stderr == ""


def test_import_steode_leaves_the_settings_of_jax_alone():
    program = (
        "import jax\n"
        "before = dict(jax.config.values)\n"
        "import steode\n"
        "print({name for name, value in jax.config.values.items() if before.get(name, value) != value})"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "set()"


def calls(path: pathlib.Path):
    """Last name of every function a file calls, and its keywords with constant values."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            owner = getattr(node.func.value, "id", "") if isinstance(node.func, ast.Attribute) else ""
            values = {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
            yield owner, name, values


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(STEODE)))
def test_nothing_that_is_read_is_evaluated(path):
    assert direct_imports(path) & {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"} == set()
    for owner, name, values in calls(path):
        assert name not in ("exec", "parse_expr", "__import__", "S") or (owner, name) == ("re", "S")
        assert (owner, name) not in (("", "eval"), ("", "compile"), ("builtins", "eval"))
        # without strict SymPy evaluates a text as Python; without allow_pickle=False NumPy may run what a file says
        assert name != "sympify" or values.get("strict") is True
        assert (owner, name) not in (("np", "load"), ("numpy", "load")) or values.get("allow_pickle") is False


def test_files_are_short():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in [*SOURCES, *(ROOT / "tests").rglob("*.py")]
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}
