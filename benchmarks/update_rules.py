"""Runs of every rule of training beside a plain NumPy loop of the same rule: microseconds a step on one core.

taskset -c 0 python benchmarks/update_rules.py [dim]
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from steode import (
    Adam,
    FollowingRange,
    Freezing,
    Group,
    KineticMomentum,
    LearnedRange,
    LinearModel,
    Momentum,
    Normal,
    RunningAverage,
    SignSGD,
    Uniform,
    simulate,
)

MODEL = LinearModel(
    teacher=Normal(std=1.0),
    weight_quantizer=Uniform(bits=2, range=2.0),
    init=Normal(std=0.5),
    learning_rate=0.1,
    noise=0.1,
)
TIME = 20.0


class Loop:
    """A careful NumPy loop in single precision: inputs in blocks, arrays written in place."""

    def __init__(self, dim: int, levels: np.ndarray, thresholds: np.ndarray):
        generator = np.random.default_rng(0)
        self.dim, self.generator = dim, generator
        self.levels, self.thresholds = levels.astype(np.float32), thresholds.astype(np.float32)
        self.jumps = np.diff(self.levels)
        self.teacher = generator.standard_normal(dim, dtype=np.float32)
        self.w = generator.standard_normal(dim, dtype=np.float32) / 2
        self.rate = np.float32(MODEL.learning_rate / np.sqrt(dim))
        self.memory = np.zeros((2, dim), np.float32)
        self.mean = np.zeros((2, dim), np.float32)
        self.range = 1.0

    def image(self, w: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """Q(w) at a multiple of the range."""
        image = np.full_like(w, scale * self.levels[0])
        for jump, threshold in zip(self.jumps, self.thresholds, strict=True):
            image += (scale * jump) * (w >= scale * threshold)
        return image

    def seconds(self, steps: int, move: Callable, image: Callable) -> float:
        """Seconds of so many steps; `move` is given the gradient and the image."""
        block, root = max(1, 2**16 // self.dim), np.float32(self.dim**-0.5)
        begin = time.perf_counter()
        for first in range(0, steps, block):
            inputs = self.generator.standard_normal((block, self.dim), dtype=np.float32)
            labels = inputs @ self.teacher * root
            labels += np.float32(MODEL.noise) * self.generator.standard_normal(block, dtype=np.float32)
            for k in range(min(block, steps - first)):
                quantized = image(self)
                residual = quantized @ inputs[k] * root - labels[k]
                move(self, residual * inputs[k], quantized)
        return time.perf_counter() - begin


def sgd(loop: Loop, gradient: np.ndarray, image: np.ndarray) -> None:
    """w <- w - rate g."""
    loop.w -= loop.rate * gradient


def momentum(beta: float) -> Callable:
    """v <- beta v + g."""

    def move(loop, gradient, image):
        loop.memory[0] *= np.float32(beta)
        loop.memory[0] += gradient
        loop.w -= loop.rate * loop.memory[0]

    return move


def signs(loop: Loop, gradient: np.ndarray, image: np.ndarray) -> None:
    """w <- w - rate sign(g)."""
    loop.w -= loop.rate * np.sign(gradient)


def adam(loop: Loop, gradient: np.ndarray, image: np.ndarray) -> None:
    """Moments of rate .1 and 1/dim, without the correction of the start."""
    first, second = loop.memory
    first += np.float32(0.1) * (gradient - first)
    second += np.float32(1 / loop.dim) * (gradient**2 - second)
    loop.w -= loop.rate * first / (np.sqrt(second) + np.float32(1e-8))


def dampened(loop: Loop, gradient: np.ndarray, image: np.ndarray) -> None:
    """A pull toward the image."""
    loop.w -= loop.rate * gradient + np.float32(0.05 / loop.dim) * (loop.w - image)


def averaged(loop: Loop, gradient: np.ndarray, image: np.ndarray) -> None:
    """Running means of Q(w) and of w."""
    sgd(loop, gradient, image)
    for mean, now in zip(loop.mean, (loop.image(loop.w), loop.w), strict=True):
        mean += np.float32(1 / loop.dim) * (now - mean)


def frozen(loop: Loop, gradient: np.ndarray, image: np.ndarray) -> None:
    """Weights that a mask holds."""
    mean = loop.mean[0]
    mean += np.float32(1 / loop.dim) * (image - mean)
    loop.w -= loop.rate * gradient * (np.abs(mean) < np.float32(1e9))


def lsq(loop: Loop, gradient: np.ndarray, image: np.ndarray) -> None:
    """A range that is learned beside the weights."""
    scale = loop.range
    inside = np.abs(loop.w) < scale * loop.levels[-1]
    slope = np.where(inside, image - loop.w, image) / scale
    loop.range = scale - 0.1 / loop.dim * float(gradient @ slope) / np.sqrt(loop.dim)
    sgd(loop, gradient, image)


def fixed(loop: Loop) -> np.ndarray:
    """Q(w)."""
    return loop.image(loop.w)


def following(loop: Loop) -> np.ndarray:
    """Q(w) at the range mean |w|."""
    return loop.image(loop.w, float(np.abs(loop.w).mean()) / 2)


def learned(loop: Loop) -> np.ndarray:
    """Q(w) at the range that is learned."""
    return loop.image(loop.w, loop.range)


def halves(loop: Loop) -> np.ndarray:
    """Two groups with ranges of their own."""
    half = loop.dim // 2
    return np.concatenate([loop.image(loop.w[:half]), loop.image(loop.w[half:], 0.5)])


HALVES = (Group(0.5), Group(0.5, weight_quantizer=Uniform(bits=2, range=1.0)))
RULES = {
    "SGD": ({}, {}, sgd, fixed),
    "momentum": ({"update_rule": Momentum(0.9)}, {}, momentum(0.9), fixed),
    "momentum of a long memory": ({"update_rule": KineticMomentum(friction=1.0)}, {}, momentum(0.999), fixed),
    "sign of the gradient": ({"update_rule": SignSGD()}, {}, signs, fixed),
    "Adam": ({"update_rule": Adam(beta_1=0.9, second_moment_rate=1.0)}, {}, adam, fixed),
    "dampening": ({"dampening": 0.5}, {}, dampened, fixed),
    "learned range": ({"range_rule": LearnedRange(rate=0.1)}, {}, lsq, learned),
    "range that follows": ({"range_rule": FollowingRange()}, {}, sgd, following),
    "groups": ({"groups": HALVES}, {}, sgd, halves),
    "averages": ({}, {"average": RunningAverage(start=0.0, memory=1.0)}, averaged, fixed),
    "freezing": ({}, {"freezing": Freezing(1.0, 19.0)}, frozen, fixed),
}
"""Name -> changes of the model, options of the run, and what moves and quantizes the weights in the loop."""


def timed(run: Callable) -> float:
    """Seconds of the second call: the first one compiles."""
    run()
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def main(dim: int) -> None:
    """Print one line for each rule."""
    steps = int(TIME * dim)
    print(f"d = {dim}, 2 bits, {steps} steps on one core, microseconds a step")
    print(f"{'':28}{'steode':>8}{'NumPy':>8}{'ratio':>8}")
    for name, (changes, options, move, image) in RULES.items():
        model = MODEL.replace(**changes)
        ours = timed(lambda: simulate(model, dim, TIME, times=[TIME], progress=False, **options))  # noqa: B023
        loop = Loop(dim, model.weight_quantizer.levels, model.weight_quantizer.thresholds)
        plain = loop.seconds(steps, move, image)
        print(f"{name:28}{1e6 * ours / steps:8.2f}{1e6 * plain / steps:8.2f}{plain / ours:8.1f}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
