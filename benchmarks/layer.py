"""Fixed points of a whole layer: seconds and memory for 4096 x 4096 weights at 3 bits, nothing clipped.

python benchmarks/layer.py [size]
"""

import resource
import sys
import time

import numpy as np
import scipy.linalg

from steode import fixed_points, layer, simulate


def main(size: int) -> None:
    """Time specification and fixed points."""
    weights = np.random.default_rng(0).normal(size=(size, size))
    moment = scipy.linalg.toeplitz(0.8 ** np.arange(size))
    # the first call loads and compiles
    fixed_points(layer.LayerModel(weights[:8, :64], second_moment=moment[:64, :64], bits=3, learning_rate=0.1))
    start = time.perf_counter()
    model = layer.LayerModel(weights, second_moment=moment, bits=3, learning_rate=0.1, noise=0.1)
    specified, busy = time.perf_counter(), time.process_time()
    found = fixed_points(model)
    done, busy = time.perf_counter(), time.process_time() - busy
    print(f"{size} x {size}, 3 bits: specification {specified - start:.1f} s, fixed points {done - specified:.1f} s")
    print(f"processor time of the fixed points {busy:.1f} s")
    print(f"mean V {found.V.mean():.6f}, all unique: {found.unique.all()}")
    print(f"largest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def loop(model: layer.LayerModel, steps: int) -> float:
    """Seconds of a careful NumPy loop."""
    generator = np.random.default_rng(0)
    dim, rows = model.dim, model.rows
    root = np.linalg.cholesky(model.second_moment).T.astype(np.float32)
    teacher, w = model.weights.astype(np.float32), model.weights.astype(np.float32)
    step, origin, most = (np.float32(model.grid.step[0, 0]), np.float32(model.grid.origin[0, 0]), model.grid.count - 1)
    codes, change = np.empty_like(w), np.empty_like(w)
    rate = np.float32(model.learning_rate / np.sqrt(dim))
    block = max(1, 2**16 // dim)
    flips, before = 0.0, np.floor(w / step + origin + np.float32(0.5)).clip(0, most)
    start = time.perf_counter()
    for first in range(0, steps, block):
        inputs = generator.standard_normal((block, dim), dtype=np.float32) @ root
        labels = inputs @ teacher.T
        for k in range(min(block, steps - first)):
            residual = (before @ inputs[k] - origin * inputs[k].sum()) * step - labels[k]
            np.multiply.outer(residual * (rate / np.float32(np.sqrt(dim))), inputs[k], out=change)
            np.subtract(w, change, out=w)
            np.multiply(w, 1 / step, out=codes)
            codes += origin + np.float32(0.5)
            np.floor(codes, out=codes)
            np.clip(codes, 0, most, out=codes)
            flips += np.count_nonzero(codes != before) / (rows * dim)
            codes, before = before, codes
    return time.perf_counter() - start


def training(rows: int, dim: int, steps: int) -> None:
    """Time `simulate` and the loop on one layer."""
    weights = np.random.default_rng(0).normal(size=(rows, dim))
    moment = scipy.linalg.toeplitz(0.8 ** np.arange(dim))
    model = layer.LayerModel(weights, second_moment=moment, bits=3, learning_rate=0.1, range=3.0)
    simulate(model, 1, times=(1,))
    start = time.perf_counter()
    simulate(model, steps / dim, times=(steps / dim,))
    ours = time.perf_counter() - start
    plain = loop(model, steps)
    print(
        f"{rows} x {dim}, {steps} steps: simulate {ours:.2f} s, NumPy {plain:.2f} s, {plain / ours:.2f} times as long"
    )


if __name__ == "__main__":
    training(8, 300, 30_000)
    training(128, 512, 4_000)
    training(1024, 1024, 500)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4096)
