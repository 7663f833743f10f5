"""The same model trained in PyTorch, or in JAX with optax, beside its limit.

    pip install 'steode[torch]'                     # or: pip install optax
    python examples/train_elsewhere.py torch        # or: optax; writes docs/images/train_in_torch.png

Quantizer, loss and optimizer are those of the other library and of this file; steode gives the limit and the figure.
The factor 1/sqrt(d) belongs to the model: with it the gradient of (yhat - y)^2/2 is the step the limit is derived for.
"""

import pathlib
import sys

import numpy as np

from steode import Constant, LinearModel, Normal, Uniform, plateau, plot, solve

BITS, RANGE, RATE, NOISE, SPREAD = 3, 2.0, 0.02, 0.1, 0.1
MODEL = LinearModel(
    weight_quantizer=Uniform(bits=BITS, range=RANGE, kind="mid-tread"),
    teacher=Constant(1.0),
    init=Normal(std=SPREAD),
    learning_rate=RATE,
    noise=NOISE,
)
DIM, SEEDS = 400, 8
TIMES = np.linspace(0, 40, 21)
"""Rescaled times tau = step/d at which the error is measured, |Q(w) - w*|^2/(2d)."""
IMAGES = pathlib.Path(__file__).parents[1] / "docs" / "images"


def train_in_torch(dim: int = DIM, seeds: int = SEEDS, times=TIMES, key: int = 0) -> np.ndarray:
    """Generalization error at the times, shape (seeds, T)."""
    import torch

    def rounded(weights):
        step = RANGE / (2 ** (BITS - 1) - 1)
        image = torch.clamp(torch.round(weights / step) * step, -RANGE, RANGE)
        return weights + (image - weights).detach()  # straight through

    generator = torch.Generator().manual_seed(key)
    weights = torch.nn.Parameter(SPREAD * torch.randn(seeds, dim, generator=generator))
    optimizer = torch.optim.SGD([weights], lr=RATE)
    records = np.rint(np.asarray(times) * dim).astype(int)
    errors = []
    for step in range(records[-1] + 1):
        if step in records:
            errors.append(((rounded(weights) - 1) ** 2).mean(dim=1).detach().numpy() / 2)
        inputs = torch.randn(seeds, dim, generator=generator)
        labels = inputs.sum(dim=1) / dim**0.5 + NOISE * torch.randn(seeds, generator=generator)
        outputs = (rounded(weights) * inputs).sum(dim=1) / dim**0.5
        loss = ((outputs - labels) ** 2).sum() / 2  # a sum trains every seed by itself
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return np.stack(errors, axis=1)


def train_in_optax(dim: int = DIM, seeds: int = SEEDS, times=TIMES, key: int = 0) -> np.ndarray:
    """Generalization error at the times, shape (seeds, T)."""
    import jax
    import jax.numpy as jnp
    import optax

    def rounded(weights):
        step = RANGE / (2 ** (BITS - 1) - 1)
        image = jnp.clip(jnp.round(weights / step) * step, -RANGE, RANGE)
        return weights + jax.lax.stop_gradient(image - weights)  # straight through

    optimizer = optax.sgd(RATE)

    def loss(weights, inputs, noise):
        outputs, labels = rounded(weights) @ inputs / dim**0.5, inputs.sum() / dim**0.5 + noise
        return (outputs - labels) ** 2 / 2

    def one_step(state, key):
        weights, memory = state
        first, second = jax.random.split(key)
        inputs, noise = jax.random.normal(first, (dim,)), NOISE * jax.random.normal(second)
        updates, memory = optimizer.update(jax.grad(loss)(weights, inputs, noise), memory, weights)
        return (optax.apply_updates(weights, updates), memory), None

    def run(key):
        first, rest = jax.random.split(key)
        weights = SPREAD * jax.random.normal(first, (dim,))

        def until_next_record(state, key):
            error = jnp.mean((rounded(state[0]) - 1) ** 2) / 2
            return jax.lax.scan(one_step, state, jax.random.split(key, between))[0], error

        start = (weights, optimizer.init(weights))
        return jax.lax.scan(until_next_record, start, jax.random.split(rest, len(times)))[1]

    between = round(float(times[1] - times[0]) * dim)  # steps between two records, which are equally spaced
    return np.asarray(jax.vmap(run)(jax.random.split(jax.random.key(key), seeds)))


def draw(errors: np.ndarray, name: str):
    """The limit, and means and standard errors of the runs; returns the figure and the limit."""
    from matplotlib.figure import Figure

    theory = solve(MODEL, float(TIMES[-1]), tolerance=1e-3)
    ax = plot.trajectory(theory, label="limit", ax=Figure(figsize=(6.4, 3.6), layout="constrained").subplots())
    spread = errors.std(axis=0, ddof=1) / len(errors) ** 0.5
    ax.errorbar(TIMES, errors.mean(axis=0), spread, fmt="o", color="black", markersize=4, label=name)
    ax.legend(frameon=False)
    return ax.figure, theory


if __name__ == "__main__":
    library = sys.argv[1] if len(sys.argv) > 1 else "torch"
    train, name = {"torch": (train_in_torch, "PyTorch"), "optax": (train_in_optax, "optax")}[library]
    figure, theory = draw(train(), f"{name}, d = {DIM}, {SEEDS} runs")
    path = IMAGES / f"train_in_{library}.png"
    figure.savefig(path, dpi=150)
    print(plateau(theory))
    print(f"written: {path}")
