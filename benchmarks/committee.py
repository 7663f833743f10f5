"""Runs of a committee machine beside a plain NumPy loop and beside single units: microseconds a step on one core.

taskset -c 0 python benchmarks/committee.py [dim] [hidden]
"""

import sys
import time

import numpy as np
import scipy.special

from steode import DerivativeOf, Elementwise, LinearModel, Normal, Uniform, committee, simulate


def loop(model: committee.CommitteeModel, dim: int, steps: int) -> float:
    """Seconds of a careful NumPy loop over the same algorithm, in single precision."""
    generator = np.random.default_rng(0)
    teacher = generator.standard_normal((model.M, dim), dtype=np.float32)
    w = generator.standard_normal((model.hidden, dim), dtype=np.float32)
    levels, thresholds = (np.asarray(part, np.float32) for part in (model.weight_quantizer.levels,
                                                                    model.weight_quantizer.thresholds))  # fmt: skip
    root, rate = np.float32(dim**-0.5), np.float32(model.learning_rate * dim**-0.5)
    half, slope = np.float32(0.5**0.5), np.float32((2 / np.pi) ** 0.5)
    block = max(1, 2**16 // dim)
    start = time.perf_counter()
    for first in range(0, steps, block):
        inputs = generator.standard_normal((block, dim), dtype=np.float32)
        labels = scipy.special.erf(inputs @ teacher.T * (root * half)).sum(axis=1)
        labels += np.float32(model.noise) * generator.standard_normal(block, dtype=np.float32)
        for k in range(min(block, steps - first)):
            image = np.full_like(w, levels[0])
            for low, high, threshold in zip(levels, levels[1:], thresholds, strict=False):
                image += (high - low) * (w >= threshold)
            h = (image @ inputs[k]) * root
            residual = scipy.special.erf(h * half).sum() - labels[k]
            w -= np.multiply.outer(rate * residual * slope * np.exp(-(h**2) / 2), inputs[k])
    return time.perf_counter() - start


def timed(run) -> float:
    """Seconds of the second call: the first one compiles."""
    run()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main(dim: int, hidden: int) -> None:
    """Print one line each."""
    steps = 20 * dim
    model = committee.CommitteeModel(
        hidden=hidden,
        teacher_hidden=hidden,
        weight_quantizer=Uniform(bits=3, range=2.0),
        init=Normal(std=0.5),
        noise=0.1,
    )
    unit = Elementwise("erf(x/sqrt(2))")
    single = LinearModel(
        teacher=Normal(),
        weight_quantizer=model.weight_quantizer,
        learning_rate=0.5,
        noise=0.1,
        activation=unit,
        activation_surrogate=DerivativeOf(unit),
        teacher_activation=unit,
    )
    ours = timed(lambda: simulate(model, dim, 20.0, times=[20.0], progress=False))
    one = timed(lambda: simulate(single, dim, 20.0, times=[20.0], progress=False))
    plain = loop(model, dim, steps)
    print(f"d = {dim}, K = M = {hidden}, 3 bits, {steps} steps on one core, microseconds a step:")
    print(f"  steode {1e6 * ours / steps:.2f}; NumPy {1e6 * plain / steps:.2f}, {plain / ours:.1f} times as long")
    print(f"  a single unit {1e6 * one / steps:.2f}; {hidden} of them {hidden * one / ours:.2f} times as long")


if __name__ == "__main__":
    main(*(int(value) for value in sys.argv[1:3] or (1000, 2)))
