"""Float32 at dimension 10^5: the engine beside a loop in double precision on the same samples."""

import jax
import jax.numpy as jnp
import numpy as np

from steode import LinearModel, Normal, Uniform, simulate
from steode.engine.noise import normals
from steode.engine.request import key_words, seed_sequence
from steode.systems.linear.job import TRAINING

DIM, STEPS = 100_000, 2_000


def test_errors_agree_with_double_precision_on_the_same_samples():
    # quantized weights would not do: one that rounds to the other side of a threshold changes every later residual
    grid = Uniform(2, 2.0)
    model = LinearModel(teacher=Normal(), input_quantizer=grid, learning_rate=0.5, noise=0.2)
    times = np.array([0.0, 0.005, 0.01, 0.02])
    run = simulate(model, DIM, 0.02, times=times, snapshot_times=[0.02])
    key = jnp.asarray(seed_sequence(key_words(0), DIM, 0, TRAINING).generate_state(2))
    rows = jax.jit(lambda row: normals(key, row, 1, DIM + 1, jnp.float32)[0])
    weights = run.snapshots.weights[0, 0].astype(float)
    teacher = run.snapshots.teacher[0].astype(float)
    errors = []
    for step in range(STEPS + 1):
        if step in np.rint(times * DIM):
            power, overlap = 1.0930575624950605, 0.9692832396712265
            errors.append(np.mean(power * weights**2 - 2 * overlap * teacher * weights + teacher**2) / 2)
        sample = np.asarray(rows(step)).astype(float)
        x, z = sample[:-1], grid(sample[:-1])
        residual = (weights @ z - teacher @ x) / np.sqrt(DIM) - model.noise * sample[-1]
        if step < STEPS:
            weights -= model.learning_rate / np.sqrt(DIM) * residual * z
    final = run.snapshots.weights[0, -1]
    # rounding of 2000 updates, each by at most 2^-24 of the weight, adds up like a random walk
    assert np.sqrt(np.mean((final - weights) ** 2)) < np.sqrt(STEPS) * 2.0**-24
    assert np.abs(run["eps_g"][0] / errors - 1).max() < 1e-6
