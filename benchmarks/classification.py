"""Time of a sweep of the classification system, and of the same training in a plain NumPy loop, in one run.

    python benchmarks/classification.py

The sweep: 5 surrogates x 3 numbers of bits x 20 seeds, compilation included. The plain program is written from the
update in steode's documentation, as a user would write it, and shares nothing with steode; it runs one seed of every
combination for a fifth of the steps, and its time is scaled, for it is linear in both.
"""

import itertools
import time

import jax
import numpy as np

from steode import classification

SURROGATES = {
    "relu": lambda h, top: (h > 0).astype(h.dtype),
    "exponential tail": lambda h, top: (h > 0) * np.exp(-np.maximum(h, 0) / top),
    "logarithmic tail": lambda h, top: (h > 0) / (1 + np.maximum(h, 0) / top),
    "clipped relu": lambda h, top: ((h > 0) & (h < top)).astype(h.dtype),
    "identity": lambda h, top: np.ones_like(h),
}
BITS = (1, 2, 4)
SEEDS, STEPS, FRACTION = 20, 5000, 5
CLASSES, DIM, NEURONS, BATCH, STEP, SCALE = 3, 2, 6, 64, 1.0, 0.2


def plain(surrogate: str, bits: int, steps: int, seed: int) -> float:
    """Loss of the last batch of one run in NumPy, float32."""
    random = np.random.default_rng(seed)
    top = 2**bits - 1
    votes = np.repeat(np.arange(CLASSES), NEURONS)
    member = (votes[:, None] == np.arange(CLASSES)).astype(np.float32)
    weights = (SCALE * random.standard_normal((votes.size, CLASSES * DIM))).astype(np.float32)
    rows = np.arange(BATCH)
    places = np.arange(CLASSES * DIM).reshape(CLASSES, DIM)
    for _ in range(steps):
        labels = random.integers(CLASSES, size=BATCH)
        direction = random.standard_normal((BATCH, DIM), dtype=np.float32)
        direction *= (random.uniform(1, 2, BATCH) / np.linalg.norm(direction, axis=1)).astype(np.float32)[:, None]
        x = np.zeros((BATCH, CLASSES * DIM), np.float32)
        x[rows[:, None], places[labels]] = direction
        hidden = x @ weights.T
        sums = np.clip(np.ceil(hidden), 0, top) @ member
        own = sums[rows, labels].copy()
        sums[rows, labels] = -np.inf
        best = sums.max(axis=1)
        loss = np.maximum(0, 1 - own + best)
        tied = sums == best[:, None]
        push = -1.0 * tied / tied.sum(axis=1, keepdims=True)
        push[rows, labels] = 1
        push = (push * (loss > 0)[:, None]).astype(np.float32) @ member.T
        weights += STEP / BATCH * (push * SURROGATES[surrogate](hidden, np.float32(top))).T @ x
    return float(loss.mean())


def main() -> None:
    """Print one row a combination, and the totals."""
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}; {SEEDS} seeds, {STEPS} steps, batch {BATCH}")
    total, other = 0.0, 0.0
    for surrogate, bits in itertools.product(SURROGATES, BITS):
        model = classification.ClassificationModel(
            classes=CLASSES, dimensions=DIM, neurons_per_class=NEURONS, bits=bits, surrogate=surrogate, step=STEP
        )
        start = time.perf_counter()
        runs = classification.simulate(model, STEPS, seeds=SEEDS, record=[0, STEPS])
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        plain(surrogate, bits, STEPS // FRACTION, 0)
        scaled = (time.perf_counter() - start) * FRACTION * SEEDS
        total, other = total + seconds, other + scaled
        row = f"  {surrogate:<17} {bits} bits: steode {seconds:5.1f} s, NumPy {scaled:6.1f} s (scaled), "
        print(row + f"perfect {runs.perfect.mean():.2f}", flush=True)
    print(
        f"sweep: steode {total:.1f} s, NumPy {other:.1f} s (1/{FRACTION * SEEDS} of it, scaled), "
        f"ratio {other / total:.1f}"
    )


if __name__ == "__main__":
    main()
