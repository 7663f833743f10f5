"""How many programs JAX compiles for a first answer, in a fresh process."""

import subprocess
import sys

SCRIPT = """
import logging

import jax

names = []


class Names(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("Compiling "):
            names.append(record.getMessage().split()[1])


logging.getLogger("jax").addHandler(Names())
logging.getLogger("jax").propagate = False
jax.config.update("jax_log_compiles", True)

from steode import Constant, LinearModel, Uniform, fixed_points, solve

model = LinearModel(
    teacher=Constant(1.0), weight_quantizer=Uniform(2, 2.0), input_quantizer=Uniform(2, 2.0), learning_rate=0.4
)
for answer in (
    lambda: solve(model, 2.0, method="density", tolerance=1e-2),
    lambda: solve(model, 2.0, times=[0.5, 2.0], method="density", tolerance=1e-2),
    lambda: fixed_points(model),
):
    names.clear()
    answer()
    print(len(names))
"""


def test_a_first_answer_compiles_few_programs_and_other_times_none():
    counts = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout.split()
    first, other_times, stationary = map(int, counts)
    # one program for each of two or three meshes, and two constants of the integrator's
    assert 1 <= first <= 5
    assert other_times == 0
    # the outline, the equation, its terms at the root, and the model without quantizers
    assert 1 <= stationary <= 6
