"""A limit written as a module of its own: executed apart from steode, it gives what `solve` does."""

import subprocess
import sys

import numpy as np
import pytest

from steode import (
    STE,
    ClippedSurrogate,
    Constant,
    Elementwise,
    Identity,
    LinearModel,
    PowerLaw,
    Uniform,
    derive,
    solve,
)
from steode.errors import UnsupportedError

GRID = Uniform(bits=2, range=2.0)
REFERENCE = LinearModel(weight_quantizer=GRID, input_quantizer=GRID, teacher=Constant(1.0), learning_rate=0.1)
TIMES = np.array([0.0, 0.5, 2.0, 10.0])


def run(source: str) -> dict:
    namespace = {"__name__": "written"}
    exec(compile(source, "written.py", "exec"), namespace)
    return namespace


def test_the_module_gives_what_solve_does():
    source = derive(REFERENCE).to_python()
    assert "import steode" not in source
    assert "jax" not in source
    table = run(source)["solve"](10.0, TIMES)
    theory = solve(REFERENCE, 10.0, times=TIMES, method="gaussian", tolerance=1e-8)
    for observable in ("eps_g", "V", "m", "q"):
        assert table[observable] == pytest.approx(theory[observable], rel=1e-5, abs=1e-6), observable


def test_numbers_at_the_top_may_be_changed():
    source = derive(REFERENCE).to_python()
    changed = REFERENCE.replace(learning_rate=0.2, weight_quantizer=Uniform(bits=2, range=3.0))
    assert "eta = 0.1\n" in source
    assert "omega = 2.0\n" in source
    source = source.replace("eta = 0.1\n", "eta = 0.2\n").replace("omega = 2.0\n", "omega = 3.0\n")
    table = run(source)["solve"](10.0, TIMES)
    theory = solve(changed, 10.0, times=TIMES, method="gaussian", tolerance=1e-8)
    assert table["eps_g"] == pytest.approx(theory["eps_g"], rel=1e-5)


def test_as_a_program_it_prints_a_table_without_steode(tmp_path):
    path = tmp_path / "limit.py"
    path.write_text(derive(REFERENCE).to_python())
    done = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["tau", "eps_g"]
    assert len(lines) == 12


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"spectrum": PowerLaw(exponent=1.0, count=5)}, "do not close"),
        ({"surrogate": ClippedSurrogate(1.0)}, "do not close"),
        ({"weight_quantizer": Elementwise("tanh(x)")}, "no closed form"),
        ({"activation": Elementwise("tanh(x)")}, "do not close"),
    ],
)
def test_what_does_not_close_is_refused(changes, words):
    model = LinearModel(teacher=Constant(1.0), weight_quantizer=GRID, update_rule=STE(), input_quantizer=Identity())
    with pytest.raises(UnsupportedError, match=words):
        derive(model.replace(**changes)).to_python()
