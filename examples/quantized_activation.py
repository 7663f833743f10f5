"""A network with quantized activations, trained by coarse gradients: training loss and accuracy by surrogate and bits.

    python examples/quantized_activation.py --out docs/images/quantized_activation
    python examples/quantized_activation.py --mnist mnist.npz --hidden 64 --out results/quantized_activation_mnist

Pixels - HIDDEN units - 10 classes, two linear layers without biases, float weights, on the 1,797 8 x 8 digits of
scikit-learn (`pip install steode[examples]`; every fifth held out after one fixed shuffle) or on MNIST where a file of
it is given (its own test part held out), see `steode.estimators.datasets.read_mnist`. Pixels are shifted and scaled to
mean zero and variance one over all training images.

Two networks: a plain one, and one with normalized pre-activations, where every unit's are shifted and scaled to mean
zero and variance one over the batch (for the numbers reported: over all images they are reported on).

Activation: the staircase of b bits Q(h) = alpha min(max(ceil(h/alpha), 0), 2^b - 1). Its step alpha is fixed: the one
with the smallest mean squared distance of Q to max(h, 0) for a standard Gaussian h. That is the law of pre-activations
before training, up to the pixels' covariance, and their scale at all times if they are normalized. In the backward pass
the derivative is mu'(h/alpha), see SURROGATES; everything else is backpropagation. The clipped ReLU's derivative is
zero above the last step.

Mean cross entropy of the scores, plain SGD on batches of 64 without momentum or decay; the learning rate falls linearly
to zero. Its start is chosen for every network, surrogate and number of bits in the same way: the best of RATES by the
mean training loss at the end of 10 runs of their own, whose seeds are not among those reported.

Written: OUT.png, and OUT.json with every number in it. Digits take about four minutes of processor time.
"""

import argparse
import functools
import json
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.stats
from matplotlib.figure import Figure

from steode.bridge import compile_expression
from steode.estimators.datasets import digits, read_mnist
from steode.plot import style
from steode.systems.binary_relu.surrogates import X
from steode.systems.classification.surrogates import SURROGATES as SHARED
from steode.systems.classification.surrogates import TOP

CLASSES, BATCH, RECORDS = 10, 64, 40
HIDDEN, EPOCHS, SEEDS, TUNING = 16, 100, 12, 10
BITS = (1, 2, 4)
NETWORKS = {False: "plain", True: "normalized"}
RATES = {False: tuple(2.0**k for k in range(-3, 4)), True: tuple(2.0**k for k in range(2, 9))}
"""By factors of two, from 1/8 to 8 and from 4 to 256: with normalized pre-activations only the direction of the first
weights counts, and as their length grows they take large ones."""

NAMES = ("identity", "relu", "exponential tail", "logarithmic tail", "clipped relu")
SURROGATES = {name.replace("relu", "ReLU"): compile_expression(SHARED[name].derivative, (X, TOP)) for name in NAMES}
"""mu' at x = h/alpha, in steps, and q = 2^b - 1, the last of them: 1; for x > 0 and else 0: 1, exp(-x/q), 1/(1 + x/q)
and 1 up to q."""


def best_step(top: int) -> float:
    """alpha with the least E(max(g, 0) - Q(g))^2 for standard Gaussian g."""
    steps = np.arange(top)

    def error(alpha):
        # Q is alpha times the number of thresholds 0, alpha, 2 alpha, ... below g
        product = alpha * scipy.stats.norm.pdf(alpha * steps).sum()
        return alpha**2 * ((2 * steps + 1) * scipy.stats.norm.sf(alpha * steps)).sum() - 2 * product

    return float(scipy.optimize.minimize_scalar(error, bounds=(1e-3, 2), method="bounded").x)


def activation(h, derivative, alpha, top):
    """Q(h), with mu' in the backward pass."""
    levels = alpha * jnp.clip(jnp.ceil(h / alpha), 0, top)
    slope = jax.lax.stop_gradient(derivative(h / alpha, top) * 1.0)
    return jax.lax.stop_gradient(levels) + slope * (h - jax.lax.stop_gradient(h))


def rectified(h, alpha, top):
    """The activation without quantization."""
    return jax.nn.relu(h)


def initial(key, pixels: int, hidden: int) -> dict:
    """Weights before training: pre-activations and scores of variance about one."""
    keys = jax.random.split(key)
    return {
        "first": jax.random.normal(keys[0], (pixels, hidden)) / pixels**0.5,
        "second": jax.random.normal(keys[1], (hidden, CLASSES)) * (2 / hidden) ** 0.5,
    }


def hidden_of(params, images, normalized: bool):
    """Pre-activations, (samples, hidden)."""
    hidden = images @ params["first"]
    if not normalized:
        return hidden
    hidden = hidden - hidden.mean(axis=0, keepdims=True)
    return hidden * jax.lax.rsqrt((hidden**2).mean(axis=0, keepdims=True) + 1e-6)


def measure(params, active, normalized: bool, images, labels):
    """Mean cross entropy, and accuracy."""
    scores = active(hidden_of(params, images, normalized)) @ params["second"]
    likelihood = jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], axis=1)
    return -likelihood.mean(), (scores.argmax(axis=1) == labels).mean()


def train(act, normalized: bool, data, hidden: int, updates: int, key, rate, alpha, top) -> dict:
    """One run: training loss before training and after each of RECORDS parts of it, and what it ends with."""
    (images, labels), held_out = data
    active = functools.partial(act, alpha=alpha, top=top)
    measured = functools.partial(measure, active=active, normalized=normalized)
    start_key, run_key = jax.random.split(key)

    def update(params, step):
        batch = jax.random.randint(jax.random.fold_in(run_key, step), (BATCH,), 0, len(labels))
        slope = jax.grad(lambda at: measured(at, images=images[batch], labels=labels[batch])[0])(params)
        now = rate * (1 - step / updates)
        return jax.tree.map(lambda weights, part: weights - now * part, params, slope), None

    def part(params, steps):
        params, _ = jax.lax.scan(update, params, steps)
        return params, measured(params, images=images, labels=labels)[0]

    params = initial(start_key, images.shape[1], hidden)
    last, losses = jax.lax.scan(part, params, jnp.arange(updates).reshape(RECORDS, -1))
    begun, ended = (measured(at, images=images, labels=labels) for at in (params, last))
    tested = measured(last, images=held_out[0], labels=held_out[1])
    above = (hidden_of(last, images, normalized) > alpha * top).mean()
    losses = jnp.concatenate([begun[0][None], losses])
    return {"losses": losses, "accuracy": ended[1], "held_out": tested[1], "above": above}


def cases(bits) -> list[tuple]:
    """Whether pre-activations are normalized, the activation's name, itself, and its numbers of bits."""
    quantized = [(name, functools.partial(activation, derivative=slope), bits) for name, slope in SURROGATES.items()]
    return [(network, *case) for network in NETWORKS for case in (("not quantized", rectified, (None,)), *quantized)]


def compute(data, hidden=HIDDEN, epochs=EPOCHS, seeds=SEEDS, bits=BITS) -> dict:
    """Every network, surrogate and number of bits at its best learning rate, and the networks with a plain ReLU."""
    updates = RECORDS * max(round(epochs * len(data[0][1]) / BATCH / RECORDS), 1)
    tuning, keys = jax.random.split(jax.random.key(1), TUNING), jax.random.split(jax.random.key(0), seeds)
    rows = []
    for normalized, name, act, widths in cases(bits):
        one = functools.partial(train, act, normalized, data, hidden, updates)
        runs = jax.jit(jax.vmap(one, (0, None, None, None)))
        for width in widths:
            begun = time.perf_counter()
            top = 2**width - 1 if width else 1
            scale = jnp.float32(best_step(top)), jnp.float32(top)
            tried = {
                rate: runs(tuning, jnp.float32(rate), *scale)["losses"][:, -1].mean() for rate in RATES[normalized]
            }
            # one that diverged is no candidate; 1e9 because JSON has no infinity
            tried = {rate: float(jnp.nan_to_num(loss, nan=1e9, posinf=1e9)) for rate, loss in tried.items()}
            rate = min(tried, key=tried.get)
            found = {key: np.asarray(value, float) for key, value in runs(keys, jnp.float32(rate), *scale).items()}
            row = {"normalized": normalized, "surrogate": name, "bits": width, "rate": rate}
            row |= {"rates": RATES[normalized], "tuning_loss": list(tried.values())}
            row |= {"final_loss": found["losses"][:, -1].tolist()}
            row["mean_losses"] = found["losses"].mean(axis=0).tolist()
            rows.append(row | {key: found[key].tolist() for key in ("accuracy", "held_out", "above")})
            print(f"{row_text(rows[-1])}   {time.perf_counter() - begun:.0f} s", flush=True)
    (images, labels), held_out = data
    about = {"samples": len(labels), "held_out": len(held_out[1]), "pixels": images.shape[1], "hidden": hidden}
    steps = {str(width): best_step(2**width - 1) for width in bits}
    return about | {"updates": updates, "batch": BATCH, "seeds": seeds, "steps": steps, "rows": rows}


def spread(values, digits: int) -> str:
    """Mean and standard deviation over the seeds."""
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def row_text(row: dict) -> str:
    """One row as text."""
    loss, tested = spread(row["final_loss"], 4), spread(100 * np.array(row["held_out"]), 1)
    shown = f"rate {row['rate']:<6g} loss {loss}, held out {tested} %, above {np.mean(row['above']):.2f}"
    return f"{NETWORKS[row['normalized']]:<10} {row['surrogate']:<16} bits {row['bits'] or '-'} {shown}"


CELLS = {
    "training loss": lambda row: spread(row["final_loss"], 4),
    "training accuracy, %": lambda row: spread(100 * np.array(row["accuracy"]), 1),
    "held-out accuracy, %": lambda row: spread(100 * np.array(row["held_out"]), 1),
    "above the last step, %": lambda row: spread(100 * np.array(row["above"]), 0),
    "learning rate": lambda row: f"{row['rate']:g}",
}


def table(data: dict, normalized: bool) -> str:
    """Bits downwards, surrogates across, in Markdown: mean and standard deviation over the seeds."""
    found = {(row["surrogate"], row["bits"]): row for row in data["rows"] if row["normalized"] == normalized}
    lines = ["| bits | | " + " | ".join(SURROGATES) + " |", "|---|---|" + "---:|" * len(SURROGATES)]
    for width in data["steps"]:
        for place, (title, value) in enumerate(CELLS.items()):
            cells = [value(found[name, int(width)]) for name in SURROGATES]
            lines.append(f"| {'' if place else width} | {title} | " + " | ".join(cells) + " |")
    whole = found["not quantized", None]
    values = [value(whole) for title, value in CELLS.items() if title != "above the last step, %"]
    text = "Not quantized: training loss {}, training accuracy {} %, held-out accuracy {} %, learning rate {}."
    return "\n".join([*lines, "", text.format(*values)])


def draw(data: dict) -> Figure:
    """Training loss against updates: one panel for each number of bits, one row for each network."""
    widths = list(data["steps"])
    figure = Figure(figsize=(3.9 * len(widths), 6.4), layout="constrained")
    grid = figure.subplots(len(NETWORKS), len(widths), sharey=True, sharex=True, squeeze=False)
    times = np.linspace(0, data["updates"], RECORDS + 1)
    for (normalized, network), panels in zip(NETWORKS.items(), grid, strict=True):
        for width, ax in zip(widths, panels, strict=True):
            style.axes(ax)
            shown = [row for row in data["rows"] if row["normalized"] == normalized]
            for row in (row for row in shown if row["bits"] in (int(width), None)):
                look = {"color": style.GRAY, "linewidth": 3, "alpha": 0.5}
                if row["bits"]:
                    look = style.look(list(SURROGATES).index(row["surrogate"]))
                ax.plot(times, row["mean_losses"], label=row["surrogate"], **look)
            ax.set(title=f"{network}, {width} bit{'s' * (width != '1')}", yscale="log")
        panels[0].set_ylabel("training loss")
    for ax in grid[-1]:
        ax.set_xlabel("updates")
    handles = dict(zip(*reversed(grid[0, 0].get_legend_handles_labels()), strict=True))
    order = [*SURROGATES, "not quantized"]
    place = {"loc": "outside lower center", "ncols": len(order), "frameon": False}
    figure.legend([handles[name] for name in order], order, **place)
    return figure


def read_data(mnist: pathlib.Path | None) -> list[tuple[jax.Array, jax.Array]]:
    """Images (samples, pixels) and classes for training, and those held out."""
    if mnist is None:
        images, labels = digits()
        order = np.random.default_rng(0).permutation(len(labels))
        images, labels = images[order], labels[order]
        out = np.arange(len(labels)) % 5 == 0
        parts = [(images[~out], labels[~out]), (images[out], labels[out])]
    else:
        parts = [read_mnist(mnist, part) for part in ("train", "test")]
    mean, std = parts[0][0].mean(), parts[0][0].std()
    return [(jnp.asarray((images - mean) / std), jnp.asarray(labels)) for images, labels in parts]


def main(arguments: list[str] | None = None) -> None:
    """Train, print, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/quantized_activation"))
    parser.add_argument("--mnist", type=pathlib.Path, help="an .npz file, or the folder of the IDX files")
    parser.add_argument("--hidden", type=int, default=HIDDEN, help="units between the layers")
    parser.add_argument("--epochs", type=float, default=EPOCHS, help="passes over the training images")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="at least 2")
    parser.add_argument("--bits", type=int, nargs="+", default=BITS)
    parser.add_argument("--redraw", action="store_true", help="table and figure from OUT.json, without training")
    given = parser.parse_args(arguments)
    if given.seeds < 2 or given.hidden < 1 or min(given.bits) < 1 or not given.epochs > 0:
        parser.error("--seeds takes 2 or more, --hidden and --bits 1 or more, --epochs a number above 0")
    path = given.out.with_suffix(".json")
    if given.redraw:
        data = json.loads(path.read_text(encoding="utf-8"))
    else:
        data = compute(read_data(given.mnist), given.hidden, given.epochs, given.seeds, tuple(given.bits))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data) + "\n", encoding="utf-8")
    for normalized, network in NETWORKS.items():
        print(f"\n{network}\n\n{table(data, normalized)}")
    with style.settings():
        draw(data).savefig(given.out.with_suffix(".png"), dpi=130)


if __name__ == "__main__":
    main()
