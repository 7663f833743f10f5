"""Fixed points of a whole layer: seconds and memory for 4096 x 4096 weights at 3 bits, nothing clipped.

python benchmarks/layer.py [size]
"""

import resource
import sys
import time

import numpy as np
import scipy.linalg

from steode import fixed_points, layer


def main(size: int) -> None:
    """Time specification and fixed points."""
    weights = np.random.default_rng(0).normal(size=(size, size))
    moment = scipy.linalg.toeplitz(0.8 ** np.arange(size))
    # the first call loads and compiles
    fixed_points(layer.LayerModel(weights[:8, :64], second_moment=moment[:64, :64], bits=3, learning_rate=0.1))
    start = time.perf_counter()
    model = layer.LayerModel(weights, second_moment=moment, bits=3, learning_rate=0.1, noise=0.1)
    specified = time.perf_counter()
    found = fixed_points(model)
    done = time.perf_counter()
    print(f"{size} x {size}, 3 bits: specification {specified - start:.1f} s, fixed points {done - specified:.1f} s")
    print(f"mean V {found.V.mean():.6f}, all unique: {found.unique.all()}")
    print(f"largest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4096)
