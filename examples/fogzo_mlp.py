"""A two-layer network with 2-bit weights, trained by the straight-through estimator, by SPSA, and by FOGZO.

    python examples/fogzo_mlp.py --out results/fogzo_mlp
    python examples/fogzo_mlp.py --mnist mnist.npz --n 1 10 100 1000 7940 --out results/fogzo_mnist

Pixels - 10 rectified units - 10 classes, on the 1,797 8x8 digits of scikit-learn (`pip install steode[examples]`), or
on MNIST where a file of it is given: an .npz with arrays x_train and y_train, or the folder with the two IDX files
train-images-idx3-ubyte and train-labels-idx1-ubyte, .gz or not.

Weights have four levels, (+-1/2, +-3/2) alpha with alpha the standard deviation of the initial weights of the layer,
and the identity between the outermost levels as surrogate. Biases are not quantized: their gradient is exact, from a
backward pass, for every estimator. Plain SGD, as many updates for every estimator (and for the STE also as many as
make its passes those of FOGZO), with a learning rate that falls linearly to zero and starts at the best of RATES for
each estimator by the final loss on all samples, averaged over seeds. FOGZO's beta falls linearly from 1 to beta_min.

A pass is one evaluation of the loss of a batch, forward or backward, each counted as one: STE 2, FOGZO 2n + 2, SPSA
2n + 2 (2n without the one for biases, which is counted).

Written: OUT.png, and OUT.json with every number in it. Digits take a quarter of an hour on two cores, nearly all of it
for the largest n of SPSA.
"""

import argparse
import json
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from steode.estimators import Quantized, fogzo, linear_beta, spsa, ste
from steode.estimators.datasets import digits, read_mnist
from steode.plot import style

HIDDEN, CLASSES = 10, 10
UPDATES, BATCH, SEEDS = 1000, 64, 5
RECORDS = 50
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
TRIED_FIRST = (4, 9)
"""The part of RATES tried for every estimator; the others while the best is the first or the last one tried."""
SPSA_N = (1, 10, 100, 740)
FOGZO_N = (1, 10)
BETA_MIN = (0.9, 0.99, 0.999)


def read_data(mnist: pathlib.Path | None) -> tuple[jax.Array, jax.Array]:
    """Images of mean zero and variance one over all pixels, (samples, pixels), and their classes."""
    images, labels = digits() if mnist is None else read_mnist(mnist)
    return jnp.asarray((images - images.mean()) / images.std(), jnp.float32), jnp.asarray(labels, jnp.int32)


def steps_of(pixels: int) -> dict[str, float]:
    """The step alpha of each layer's weights: the standard deviation of its initial weights."""
    return {"first": (2 / pixels) ** 0.5, "second": (2 / HIDDEN) ** 0.5}


def initial(key: jax.Array, pixels: int) -> dict[str, jax.Array]:
    """Weights and biases before training."""
    keys, alpha = jax.random.split(key), steps_of(pixels)
    return {
        "first": alpha["first"] * jax.random.normal(keys[0], (pixels, HIDDEN)),
        "first_bias": jnp.zeros(HIDDEN),
        "second": alpha["second"] * jax.random.normal(keys[1], (HIDDEN, CLASSES)),
        "second_bias": jnp.zeros(CLASSES),
    }


def quantize(weights: jax.Array, alpha: float) -> jax.Array:
    """Four levels, with the derivative of the identity between the outermost."""
    levels = alpha * (jnp.clip(jnp.floor(weights / alpha), -2, 1) + 0.5)
    surrogate = jnp.clip(weights, -1.5 * alpha, 1.5 * alpha)
    return surrogate + jax.lax.stop_gradient(levels - surrogate)


def loss(params: dict, images: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean cross entropy of the quantized network."""
    alpha = steps_of(images.shape[1])
    hidden = jax.nn.relu(images @ quantize(params["first"], alpha["first"]) + params["first_bias"][None])
    scores = hidden @ quantize(params["second"], alpha["second"]) + params["second_bias"][None]
    return -jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], axis=1).mean()


def train(estimator, images, labels, updates: int, key: jax.Array, rate: jax.Array) -> jax.Array:
    """Loss over all samples before training and after each of RECORDS equal parts of it."""
    start_key, run_key = jax.random.split(key)

    def update(params, step):
        batch_key, direction_key = jax.random.split(jax.random.fold_in(run_key, step))
        batch = jax.random.randint(batch_key, (BATCH,), 0, len(labels))
        estimate = estimator(lambda at: loss(at, images[batch], labels[batch]), params, direction_key, step=step)
        now = rate * (1 - step / updates)
        return jax.tree.map(lambda leaf, part: leaf - now * part, params, estimate.gradient), None

    def part(params, steps):
        params, _ = jax.lax.scan(update, params, steps)
        return params, loss(params, images, labels)

    params = initial(start_key, images.shape[1])
    _, losses = jax.lax.scan(part, params, jnp.arange(updates).reshape(RECORDS, -1))
    return jnp.concatenate([loss(params, images, labels)[None], losses])


def estimators(pixels: int, updates: int, spsa_n=SPSA_N, fogzo_n=FOGZO_N, beta_min=BETA_MIN) -> dict:
    """Every estimator by its name, with its kind, n and beta_min."""
    alpha = steps_of(pixels)
    quantized = {name: Quantized("identity", alpha[name]) for name in alpha}
    quantized |= {f"{name}_bias": None for name in alpha}
    found = {"STE": (ste, {"kind": "STE", "passes": 2, "updates": updates})}
    for n in fogzo_n:
        # a multiple of the updates that makes the passes those of FOGZO
        labels = {"kind": "STE", "passes": 2, "updates": (n + 1) * updates}
        found[f"STE, {n + 1} x updates"] = ste, labels
    for n in spsa_n:
        labels = {"kind": "SPSA", "n": n, "passes": 2 * n + 2, "updates": updates}
        found[f"SPSA n={n}"] = spsa(n, quantized), labels
    for least in beta_min:
        for n in fogzo_n:
            estimator = fogzo(n, linear_beta(least, updates), quantized)
            labels = {"kind": "FOGZO", "n": n, "beta_min": least, "passes": 2 * n + 2, "updates": updates}
            found[f"FOGZO n={n} beta_min={least}"] = estimator, labels
    return found


def tuned(estimator, images, labels, updates: int, seeds: int) -> tuple[float, np.ndarray, dict]:
    """The best learning rate, its losses (seeds, RECORDS + 1), and the final loss by learning rate."""
    keys = jax.random.split(jax.random.key(0), seeds)
    runs = jax.jit(lambda rate: jax.vmap(lambda key: train(estimator, images, labels, updates, key, rate))(keys))
    low, high = TRIED_FIRST
    losses = {rate: np.asarray(runs(jnp.float32(rate))) for rate in RATES[low:high]}
    while True:
        finals = {rate: float(np.nan_to_num(found[:, -1], nan=np.inf).mean()) for rate, found in losses.items()}
        best = min(finals, key=finals.get)
        if best == RATES[low] and low > 0:
            low -= 1
            new = RATES[low]
        elif best == RATES[high - 1] and high < len(RATES):
            new = RATES[high]
            high += 1
        else:
            return best, losses[best], finals
        losses[new] = np.asarray(runs(jnp.float32(new)))


def compute(images, labels, updates=UPDATES, seeds=SEEDS, **which) -> dict:
    """Losses of every estimator at its best learning rate, (seeds, RECORDS + 1), and the learning rates."""
    rows = []
    for name, (estimator, about) in estimators(images.shape[1], updates, **which).items():
        begun = time.perf_counter()
        rate, losses, finals = tuned(estimator, images, labels, about["updates"], seeds)
        finite = {str(tried): value if np.isfinite(value) else None for tried, value in sorted(finals.items())}
        found = {"rate": rate, "losses": losses.astype(float).round(6).tolist(), "final_by_rate": finite}
        rows.append({"name": name, **about, **found})
        print(f"{row_text(rows[-1])}   {time.perf_counter() - begun:.0f} s", flush=True)
    return {"updates": updates, "batch": BATCH, "seeds": seeds, "pixels": images.shape[1], "rows": rows}


def passes(row: dict) -> np.ndarray:
    """Passes until each recorded loss, (RECORDS + 1,)."""
    return row["passes"] * (np.arange(RECORDS + 1) * row["updates"] // RECORDS)


def final(row: dict) -> np.ndarray:
    """Final loss of every seed."""
    return np.array(row["losses"])[:, -1]


def row_text(row: dict) -> str:
    """One estimator as text."""
    mean, error = final(row).mean(), final(row).std(ddof=1) / len(final(row)) ** 0.5
    cost = f"{row['updates']} updates of {row['passes']:4d} passes"
    return f"{row['name']:<26} {cost}, rate {row['rate']:<4g} loss {mean:.4f} +- {error:.4f}"


def ratios(data: dict) -> list[dict]:
    """Passes of a whole run of SPSA over the passes with which the others first reached its final loss, seed by seed.

    Zero where it was not reached.
    """
    found = []
    for slow in (row for row in data["rows"] if row["kind"] == "SPSA"):
        for row in (row for row in data["rows"] if row["kind"] != "SPSA"):
            values = []
            for losses, target in zip(np.array(row["losses"]), final(slow), strict=True):
                reached = np.flatnonzero(losses <= target)
                values.append(passes(slow)[-1] / passes(row)[reached[0]] if reached.size else 0.0)
            low, median, high = np.quantile(values, (0, 0.5, 1))
            about = {"spsa_n": slow["n"], "other": row["name"], "seeds": len(values)}
            found.append(about | {"lowest": low, "median": median, "highest": high})
    return found


def table(data: dict) -> str:
    """Every number that the page of documentation gives."""
    lines = [row_text(row) for row in data["rows"]]
    lines.append("\npasses of SPSA / passes to its final loss: median (lowest, highest over seeds), 0: not reached")
    for row in data["ratios"]:
        spread = f"({row['lowest']:.1f}, {row['highest']:.1f})"
        lines.append(f"SPSA n={row['spsa_n']:<5d} {row['other']:<26} {row['median']:7.1f} {spread}")
    return "\n".join(lines)


def label_of(row: dict) -> str:
    """Its name, as drawn."""
    return row["name"].replace("beta_min=", r"$\beta_{\min}=$").replace(" x ", r" $\times$ ")


def draw(data: dict) -> Figure:
    """Training loss against passes, and the loss at the end against the number of directions."""
    figure = Figure(figsize=(9.6, 5.4), layout="constrained")
    left, right = (style.axes(ax) for ax in figure.subplots(1, 2, sharey=True))
    least = data["rows"][-1].get("beta_min")
    shown = {"STE": 0, "SPSA": 0, "FOGZO": 0}
    colors = {"STE": style.GRAY, "SPSA": style.COLORS[1], "FOGZO": style.COLORS[0]}
    for row in (row for row in data["rows"] if row.get("beta_min", least) == least):
        kind, losses, spent = row["kind"], np.array(row["losses"])[:, 1:], passes(row)[1:]
        look = {"color": colors[kind], "linestyle": style.LINES[shown[kind]]}
        shown[kind] += 1
        left.plot(spent, losses.mean(axis=0), label=label_of(row), **look)
        ends = losses.min(axis=0), losses.max(axis=0)
        left.fill_between(spent, *ends, color=colors[kind], alpha=0.12, linewidth=0)
    groups = {}
    for row in data["rows"]:
        if row["kind"] == "STE":
            look = {"color": style.GRAY, "linestyle": style.LINES[shown["STE"] % 3], "linewidth": 1.2}
            right.axhline(final(row).mean(), label=label_of(row), **look)
            shown["STE"] += 1
        else:
            groups.setdefault((row["kind"], row.get("beta_min")), []).append(row)
    others = iter(style.COLORS[2:])
    for number, ((kind, beta_min), rows) in enumerate(groups.items()):
        # the bars end at the lowest and the highest seed; slightly apart, to be seen
        mean = np.array([final(row).mean() for row in rows])
        ends = np.array([[final(row).min(), final(row).max()] for row in rows]).T
        n = np.array([row["n"] for row in rows]) * 1.06 ** (number - 1)
        color = colors[kind] if beta_min in (None, least) else next(others)
        look = {"color": color, "marker": style.MARKERS[number], "markerfacecolor": "white", "capsize": 2.5}
        label = kind if beta_min is None else rf"{kind} $\beta_{{\min}}=${beta_min:g}"
        right.errorbar(n, mean, np.abs(ends - mean), label=label, **look)
    left.set(xlabel="passes (forward and backward, one each)", ylabel="training loss", xscale="log", yscale="log")
    right.set(xlabel="directions $n$", ylabel=f"training loss after {data['updates']} updates", xscale="log")
    ticks = (0.1, 0.15, 0.2, 0.3, 0.5, 1, 1.5, 2, 3)
    left.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    left.minorticks_off()
    right.tick_params(labelleft=True)
    left.set_ylim(0.95 * min(np.min(row["losses"]) for row in data["rows"]), 3.2)
    for ax in (left, right):
        style.legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    return figure


def main() -> None:
    """Train, print, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/fogzo_mlp"))
    parser.add_argument("--mnist", type=pathlib.Path, help="an .npz file, or the folder of the two IDX files")
    parser.add_argument("--updates", type=int, default=UPDATES, help=f"a multiple of {RECORDS}")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="at least 2")
    parser.add_argument("--n", type=int, nargs="+", default=SPSA_N, help="directions of SPSA")
    parser.add_argument("--redraw", action="store_true", help="draw OUT.json again, without training")
    arguments = parser.parse_args()
    if arguments.updates < RECORDS or arguments.updates % RECORDS or arguments.seeds < 2:
        parser.error(f"--updates takes a multiple of {RECORDS}, --seeds 2 or more")
    path = arguments.out.with_suffix(".json")
    if arguments.redraw:
        data = json.loads(path.read_text(encoding="utf-8"))
    else:
        images, labels = read_data(arguments.mnist)
        data = compute(images, labels, arguments.updates, arguments.seeds, spsa_n=tuple(arguments.n))
        data["ratios"] = ratios(data)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data) + "\n", encoding="utf-8")
    print(table(data))
    with style.settings():
        draw(data).savefig(arguments.out.with_suffix(".png"), dpi=150)


if __name__ == "__main__":
    main()
