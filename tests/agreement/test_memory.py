"""Memory of a process that solves many models: compiled programs of old ones are released."""

import subprocess
import sys

import pytest

SOLVES = """
import resource
import numpy as np
from steode import Constant, Levels, LinearModel, solve

for count in range(5, 5 + {models}):
    model = LinearModel(teacher=Constant(1.0), weight_quantizer=Levels(np.linspace(-2, 2, count)))
    solve(model, 1, times=[0.5, 1.0], tolerance=1e-2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _peak(models: int) -> float:
    """Gigabytes of memory a fresh process needs to solve so many models on different grids."""
    done = subprocess.run([sys.executable, "-c", SOLVES.format(models=models)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout) * 1024 / 1e9


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is that of Linux")
def test_memory_does_not_grow_with_the_number_of_models():
    """Without a bound on the programs kept, each of the models costs 0.1 GB and more."""
    assert _peak(12) - _peak(4) < 0.4
