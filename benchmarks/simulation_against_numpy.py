"""Wall time of `steode.simulate` beside a plain NumPy loop of the same algorithm, same sizes, same record times.

    python benchmarks/simulation_against_numpy.py [t_end]

Prints seconds of wall time and processor time, and the ratio of the latter, for each dimension and number of seeds,
after one run that compiles.
"""

import sys
import time

import numpy as np

from steode.laws import Constant
from steode.quantizers import Uniform
from steode.simulate import simulate
from steode.systems.linear.spec import LinearModel

GRID = Uniform(bits=2, range=2.0)
MODEL = LinearModel(teacher=Constant(1.0), weight_quantizer=GRID, input_quantizer=GRID, learning_rate=0.1)


def numpy_loop(dim: int, times: np.ndarray, seeds: int) -> np.ndarray:
    """eps_g of shape (seeds, T) at the record times, in float32: what one writes without thinking of speed."""
    levels, thresholds = GRID.levels.astype(np.float32), GRID.thresholds.astype(np.float32)

    def quantize(values):
        return levels[np.searchsorted(thresholds, values, side="right")]

    grid = np.linspace(-8, 8, 200_001)
    density = np.exp(-(grid**2) / 2)
    density /= density.sum()
    alpha_1, alpha_2 = density @ (grid * GRID(grid)), density @ GRID(grid) ** 2
    records = np.rint(times * dim).astype(int)
    eps_g = np.empty((seeds, records.size))
    rate = np.float32(MODEL.learning_rate / np.sqrt(dim))
    root = np.float32(np.sqrt(dim))
    for seed in range(seeds):
        generator = np.random.default_rng(seed)
        teacher = np.ones(dim, np.float32)
        weights = generator.standard_normal(dim, np.float32)
        row = 0
        for step in range(records[-1] + 1):
            if step == records[row]:
                image = quantize(weights)
                eps_g[seed, row] = np.mean(alpha_2 * image**2 - 2 * alpha_1 * teacher * image + teacher**2) / 2
                row += 1
            x = generator.standard_normal(dim, np.float32)
            z = quantize(x)
            residual = (quantize(weights) @ z - teacher @ x) / root
            weights -= rate * residual * z
    return eps_g


def _timed(function, *arguments, **options):
    """Wall time, processor time and the result."""
    wall, processor = time.perf_counter(), time.process_time()
    result = function(*arguments, **options)
    return time.perf_counter() - wall, time.process_time() - processor, result


def main(t_end: float) -> None:
    print(f"t_end = {t_end:g}; seconds of wall time (processor time)")
    print(f"{'dim':>6} {'seeds':>5} {'NumPy':>16} {'steode':>16} {'ratio':>6}   final eps_g")
    for dim in (1000, 3000):
        times = np.linspace(0, t_end, 201)
        for seeds in (1, 8):
            simulate(MODEL, dim, 1 / dim, seeds=seeds)
            wall, processor, runs = _timed(simulate, MODEL, dim, t_end, seeds=seeds)
            plain_wall, plain_processor, plain = _timed(numpy_loop, dim, times, seeds)
            final = f"{plain[:, -1].mean():.4f} {runs.mean('eps_g')[-1]:.4f}"
            left, right = f"{plain_wall:.2f} ({plain_processor:.2f})", f"{wall:.2f} ({processor:.2f})"
            ratio = plain_processor / processor
            print(f"{dim:6d} {seeds:5d} {left:>16} {right:>16} {ratio:6.1f}   {final}", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 20.0)
