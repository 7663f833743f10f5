"""The plain programs that benchmarks/simulation.py compares the engine with: what one writes oneself, carefully or not.

Each trains one model (two-bit weights and inputs of range 2, learning rate 0.1, teacher 1) for `steps` online steps
from N(0, 1) weights in float32, looks at the error RECORDS times, and returns its mean over seeds at the end.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

LEARNING_RATE = 0.1
LEVELS = np.array([-2, -2 / 3, 2 / 3, 2], np.float32)
THRESHOLDS = np.array([-4 / 3, 0, 4 / 3], np.float32)
WIDTH = np.float32(4 / 3)
ALPHA_1, ALPHA_2 = 0.9692832396712265, 1.0930575624950605  # E[x Q(x)], E[Q(x)^2]
RECORDS = 50


def error_of(image):
    return np.mean(ALPHA_2 * image**2 - 2 * ALPHA_1 * image + 1, axis=-1) / 2


def numpy_plain(dim, steps, seeds):
    """What one writes without thinking of speed."""
    root, final = np.sqrt(dim), []
    for seed in range(seeds):
        generator = np.random.default_rng(seed)
        teacher = np.ones(dim, np.float32)
        weights = generator.standard_normal(dim, np.float32)
        for step in range(steps):
            if step % (steps // RECORDS) == 0:
                error_of(LEVELS[np.searchsorted(THRESHOLDS, weights, side="right")])
            x = generator.standard_normal(dim, np.float32)
            z = LEVELS[np.searchsorted(THRESHOLDS, x, side="right")]
            image = LEVELS[np.searchsorted(THRESHOLDS, weights, side="right")]
            residual = (image @ z - teacher @ x) / root
            weights -= np.float32(LEARNING_RATE / root * residual) * z
        final.append(error_of(LEVELS[np.searchsorted(THRESHOLDS, weights, side="right")]))
    return np.mean(final)


def quantize_in_place(values, out):
    np.multiply(values, 1 / WIDTH, out=out)
    np.floor(out, out=out)
    np.clip(out, -2, 1, out=out)
    out += np.float32(0.5)
    out *= WIDTH


def numpy_tuned(dim, steps, seeds):
    """Blocks from the fastest generator, quantization by arithmetic, no temporaries; one seed at a time."""
    return np.mean([numpy_together(dim, steps, 1, first) for first in range(seeds)])


def numpy_together(dim, steps, seeds, first=0):
    """The same with the weights of all seeds in one array."""
    generator = np.random.Generator(np.random.SFC64(first))
    rows = max(1, 2**16 // (dim * seeds))
    x = np.empty((rows, seeds, dim), np.float32)
    z = np.empty_like(x)
    weights = generator.standard_normal((seeds, dim), np.float32)
    image, change = np.empty_like(weights), np.empty_like(weights)
    teacher, root = np.ones(dim, np.float32), np.float32(np.sqrt(dim))
    rate = np.float32(LEARNING_RATE) / root
    for start in range(0, steps, rows):
        generator.standard_normal(dtype=np.float32, out=x)
        quantize_in_place(x, z)
        labels = x @ teacher / root
        for k in range(min(rows, steps - start)):
            if (start + k) % (steps // RECORDS) == 0:
                quantize_in_place(weights, image)
                error_of(image)
            quantize_in_place(weights, image)
            residual = np.einsum("sd,sd->s", image, z[k]) / root - labels[k]
            np.multiply(z[k], (rate * residual)[:, None], out=change)
            np.subtract(weights, change, out=weights)
    quantize_in_place(weights, image)
    return error_of(image).mean()


@functools.partial(jax.jit, static_argnames=("dim", "steps", "seeds"))
def _scan(dim, steps, seeds):
    root = np.sqrt(dim).astype(np.float32)

    def quantize(values):
        return jnp.asarray(LEVELS)[jnp.searchsorted(jnp.asarray(THRESHOLDS), values, side="right")]

    def step(carry, _):
        weights, key = carry
        key, own = jax.random.split(key)
        x = jax.random.normal(own, (dim,))
        z = quantize(x)
        residual = (jnp.dot(quantize(weights), z) - jnp.sum(x)) / root
        return (weights - LEARNING_RATE / root * residual * z, key), None

    def stretch(carry, _):
        image = quantize(carry[0])
        error = jnp.mean(ALPHA_2 * image**2 - 2 * ALPHA_1 * image + 1) / 2
        return lax.scan(step, carry, None, steps // RECORDS)[0], error

    def one(key):
        start, key = jax.random.split(key)
        (weights, _), _ = lax.scan(stretch, (jax.random.normal(start, (dim,)), key), None, RECORDS)
        image = quantize(weights)
        return jnp.mean(ALPHA_2 * image**2 - 2 * ALPHA_1 * image + 1) / 2

    return jnp.mean(jax.vmap(one)(jax.random.split(jax.random.key(0), seeds)))


def jax_scan(dim, steps, seeds):
    """A loop of `lax.scan` over steps with `jax.random.normal` in each, `vmap` over seeds."""
    return float(_scan(dim, steps, seeds))
