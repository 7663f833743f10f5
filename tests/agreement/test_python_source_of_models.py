"""Limits of several models written as modules of their own give what `solve` does."""

import numpy as np
import pytest

from steode import (
    Constant,
    LinearModel,
    Momentum,
    Normal,
    Schedule,
    TwoPoint,
    Uniform,
    derive,
    solve,
)

GRID = Uniform(bits=2, range=2.0)
COARSE = Uniform(bits=3, range=2.0, kind="mid-tread")
MODELS = {
    "reference": LinearModel(weight_quantizer=GRID, input_quantizer=GRID, teacher=Constant(1.0), learning_rate=0.1),
    "teacher law": LinearModel(
        weight_quantizer=COARSE, teacher=Normal(std=0.7), init=Normal(mean=0.1, std=0.3), noise=0.2, learning_rate=0.3
    ),
    "decay and batch": LinearModel(
        weight_quantizer=COARSE, input_quantizer=GRID, teacher=TwoPoint(1.0), weight_decay=0.3, batch_size=4, noise=0.1
    ),
    "schedule": LinearModel(weight_quantizer=GRID, teacher=Constant(1.0), learning_rate=Schedule("0.3/(1 + tau/5)")),
    "momentum": LinearModel(weight_quantizer=GRID, teacher=Constant(1.0), update_rule=Momentum(beta=0.5)),
    "unquantized": LinearModel(teacher=Normal(mean=0.5, std=1.0), noise=0.3, learning_rate=0.5),
    "quantized inputs": LinearModel(teacher=Constant(1.0), input_quantizer=GRID, init=Normal(mean=0.2, std=0.5)),
}
TIMES = np.array([0.0, 0.5, 2.0, 10.0])


def run(source: str) -> dict:
    namespace = {"__name__": "written"}
    exec(compile(source, "written.py", "exec"), namespace)
    return namespace


@pytest.mark.parametrize("name", MODELS)
def test_the_module_gives_what_solve_does(name):
    model = MODELS[name]
    source = derive(model).to_python()
    assert "import steode" not in source
    assert "jax" not in source
    table = run(source)["solve"](10.0, TIMES)
    method = "moments" if derive(model).exact_moments is not None else "gaussian"
    theory = solve(model, 10.0, times=TIMES, method=method, tolerance=1e-8)
    for observable in ("eps_g", "V", "m", "q"):
        assert table[observable] == pytest.approx(theory[observable], rel=1e-5, abs=1e-6), observable
