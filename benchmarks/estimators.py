"""What the estimators of `steode.estimators` cost beyond their passes, on a two-layer network with 2-bit weights.

    python benchmarks/estimators.py

Milliseconds of one update (an estimate and a step of SGD) in a compiled loop, the best of several; then per pass,
divided by that of a plain gradient step, (time/passes)/(time of STE/2). The bare passes are timed too: 2n forward
passes at once, as the estimators make them, and a gradient step. What is above their time is spent on drawing random
directions and adding them up.
"""

import importlib.util
import pathlib
import time

import jax
import jax.numpy as jnp

from steode.estimators import Quantized, fogzo, spsa, ste

UPDATES, REPEATS = 100, 4
BATCHES = (64, 1024)
DIRECTIONS = (1, 10, 100)


def network():
    """The module of the example, whose network this is."""
    path = pathlib.Path(__file__).parents[1] / "examples" / "fogzo_mlp.py"
    spec = importlib.util.spec_from_file_location("fogzo_mlp", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def best(run, *arguments) -> float:
    """Shortest time of a compiled function, in seconds."""
    jax.block_until_ready(run(*arguments))
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        jax.block_until_ready(run(*arguments))
        times.append(time.perf_counter() - begun)
    return min(times)


def per_update(estimator, loss, params, updates: int) -> float:
    """Seconds of one update."""

    def update(params, key):
        estimate = estimator(loss, params, key)
        return jax.tree.map(lambda leaf, part: leaf - 0.01 * part, params, estimate.gradient), None

    run = jax.jit(lambda params, keys: jax.lax.scan(update, params, keys)[0])
    return best(run, params, jax.random.split(jax.random.key(1), updates)) / updates


def per_forward(loss, params, count: int, updates: int) -> float:
    """Seconds of `count` forward passes at once, of parameters that differ."""

    def update(shift, _):
        many = jax.tree.map(lambda leaf: leaf[None] + shift.reshape(-1, *[1] * leaf.ndim), params)
        return shift + 1e-6 * jax.vmap(loss)(many), None

    run = jax.jit(lambda shift: jax.lax.scan(update, shift, None, length=updates)[0])
    return best(run, jnp.linspace(0, 0.1, count)) / updates


def main() -> None:
    """Print one row an estimator."""
    mlp = network()
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}; best of {REPEATS}")
    for pixels in (64, 784):
        params = mlp.initial(jax.random.key(0), pixels)
        quantized = {name: None if name.endswith("bias") else Quantized() for name in params}
        quantized |= {name: Quantized("identity", alpha) for name, alpha in mlp.steps_of(pixels).items()}
        for batch in BATCHES:
            images = jax.random.normal(jax.random.key(2), (batch, pixels))
            labels = jax.random.randint(jax.random.key(3), (batch,), 0, mlp.CLASSES)

            def loss(at, images=images, labels=labels):
                return mlp.loss(at, images, labels)

            plain = per_update(ste, loss, params, UPDATES)
            print(f"{pixels}-10-10, batch {batch}: STE {1e3 * plain:.3f} ms an update, {5e2 * plain:.3f} a pass")
            for n in DIRECTIONS:
                updates = UPDATES if n <= 10 else UPDATES // 10
                forward = per_forward(loss, params, 2 * n, updates)
                for name, estimator in (("SPSA", spsa(n, quantized)), ("FOGZO", fogzo(n, 0.999, quantized))):
                    seconds = per_update(estimator, loss, params, updates)
                    ratio = seconds / (2 * n + 2) / (plain / 2)
                    bare = seconds / (forward + plain)
                    print(f"  {name:<5} n={n:<4d} {1e3 * seconds:8.3f} ms an update, ", end="")
                    print(f"a pass {ratio:5.2f} of the STE's; {bare:5.2f} of the bare passes")


if __name__ == "__main__":
    main()
