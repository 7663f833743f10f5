"""Gaps of training to the two theories of a layer's transient: the tables of docs/layer.md.

    python benchmarks/layer_transient.py [neighbors|rotated] [far|trained] [bits]

400 inputs, 4 rows, 4 runs; K = AR(0.8), whose correlations are those of neighbors, or its eigenvalues in a random
basis. A quarter of an hour on two cores for all of it.
"""

import sys
import time
import warnings

import numpy as np
import scipy.linalg
import scipy.stats

from steode import compare, layer, simulate, solve

DIM, ROWS = 400, 4
TIMES = np.array([0, 0.5, 2, 8, 20])
RATES = {2: 0.1, 4: 0.2}


def moments() -> dict[str, np.ndarray]:
    """The two K."""
    neighbors = scipy.linalg.toeplitz(0.8 ** np.arange(DIM))
    basis = scipy.stats.ortho_group.rvs(DIM, random_state=np.random.default_rng(5))
    return {"neighbors": neighbors, "rotated": (basis * scipy.linalg.eigvalsh(neighbors)) @ basis.T}


def main(chosen: list[str]) -> None:
    """Print a line for each case and theory: gap and z at the times, seconds."""
    rng = np.random.default_rng(3)
    weights, far = rng.normal(size=(ROWS, DIM)).clip(-1.8, 1.8), rng.normal(size=(ROWS, DIM))
    cases = [
        (name, moment, start, bits)
        for name, moment in moments().items()
        for start in ("far", "trained")
        for bits in RATES
    ]
    for name, moment, start, bits in cases:
        if not set(chosen) <= {name, start, str(bits)}:
            continue
        options = {"kind": "mid-rise", "range": 2.0, "noise": 0.1, "learning_rate": RATES[bits]}
        initial = far if start == "far" else None
        model = layer.LayerModel(weights, second_moment=moment, initial=initial, bits=bits, **options)
        runs = simulate(model, 20, times=TIMES, seeds=4)
        for method in ("gaussian", "dmft"):
            begin = time.perf_counter()
            seen = compare(solve(model, 20, method=method, times=TIMES), runs)
            gaps = "  ".join(f"{100 * gap:5.1f} % ({z:6.1f})" for gap, z in zip(seen.gap, seen.z, strict=True))
            print(f"{name:9}  {start:7}  {bits}  {method:8}  {gaps}  {time.perf_counter() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", layer.LayerWarning)
        main(sys.argv[1:])
