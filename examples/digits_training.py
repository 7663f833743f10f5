"""Does it carry over? A small quantized network on the handwritten digits, beside what the linear theory says.

    pip install 'steode[examples]'
    python examples/digits_training.py --out docs/images/digits_training

64 pixels - 32 rectified units - 10 classes, two layers without biases, on the 1,797 digits that come with scikit-learn,
of which every fifth is held out after one fixed shuffle. Every network is trained in full precision first (SGD with
momentum, 30 epochs, the rate falling linearly to zero) and then for 40 epochs with both weight matrices quantized to b
bits, mid-rise grids of step s, by the straight-through estimator: cross entropy, batches of 16.

Rules: SGD with momentum 0.9 and Adam (0.9, 0.999), each at a constant rate, half of it and a quarter of it.
Without quantizers the same training goes on beside it.
Ranges: fixed (the step of smallest mean squared error for normal weights of the matrix's mean square at the start),
moving (the same of the weights at every step), learned (LSQ: its gradient, clipped surrogate and gradient scale).
Remedies: dampening (w - Q(w) added to the gradient, its factor growing linearly from 0 to 0.1), freezing (from
1/2 to 7/8 of the time the share of weights that stop at the level they visit most grows from 0 to 1), decay (the rate
falls linearly to zero), and averages over the second half: of w, rounded once, and of Q(w), not rounded.

Flips: share of weights that change their level in a step, in the last eighth of training. Near: share of weights within
a tenth of a step of a threshold at the end. Every number is a mean over seeds with its standard error; a statement of
the theory holds where the paired difference over seeds says so by two standard errors.

Written: OUT.json with every number, and OUT.png.
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

from steode.estimators.datasets import digits
from steode.plot import style

CLASSES, HIDDEN, BATCH, RECORDS, CHUNKS = 10, 32, 16, 8, 10
SEEDS, EPOCHS, FIRST_EPOCHS, BITS = 6, 40, 30, (2, 3, 4)
RATES = {"momentum": 0.01, "Adam": 0.001}
PARTS = (1.0, 0.5, 0.25)
"""Of the rate."""
RANGES = ("fixed", "moving", "learned")
REMEDIES = ("dampening", "freezing", "decay")
MEMORY = 100
"""Steps over which the running mean of freezing forgets."""
NEAR = 0.1
"""Of a step, from a threshold."""
DAMPENING = 0.1
"""Factor of w - Q(w) in the gradient at the end."""


def normal_step(bits: int) -> float:
    """The step of the mid-rise grid with the smallest mean squared error for standard normal weights."""
    w = np.linspace(-6, 6, 24_001)
    density = scipy.stats.norm.pdf(w) * (w[1] - w[0])
    top = 2 ** (bits - 1) - 0.5

    def error(step):
        return density @ (w - step * np.clip(np.floor(w / step) + 0.5, -top, top)) ** 2

    return float(scipy.optimize.minimize_scalar(error, bounds=(0.05, 2), method="bounded").x)


def cells(w, step, top):
    """The level of every weight, in steps."""
    return jnp.clip(jnp.floor(w / step) + 0.5, -top, top)


def quantized(w, step, top, learned: bool):
    """Q(w) with its surrogate: identity, or LSQ's for w and the step."""
    levels = jax.lax.stop_gradient(cells(w, step, top))
    if not learned:
        return w + jax.lax.stop_gradient(step * levels - w)
    size = w.size * top
    slow = step / size**0.5 + jax.lax.stop_gradient(step - step / size**0.5)
    inside = jnp.clip(w / slow, -top - 0.5, top + 0.5)
    return slow * (inside + jax.lax.stop_gradient(levels - inside))


def loss_and_accuracy(weights, images, labels):
    """Mean cross entropy and accuracy of a network with these matrices."""
    scores = jax.nn.relu(images @ weights[0]) @ weights[1]
    likelihood = jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], axis=1)
    return -likelihood.mean(), (scores.argmax(axis=1) == labels).mean()


def moved(rule: str, memory, gradient, count):
    """New memory of an optimizer and its direction."""
    if rule == "momentum":
        memory = jax.tree.map(lambda m, g: 0.9 * m + g, memory, gradient)
        return memory, memory
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, memory[0], gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, memory[1], gradient)
    low, high = 1 - 0.9 ** (count + 1), 1 - 0.999 ** (count + 1)
    direction = jax.tree.map(lambda m, v: m / low / (jnp.sqrt(v / high) + 1e-8), first, second)
    return (first, second), direction


def first_memory(rule: str, parameters):
    """Memory of an optimizer before the first step."""
    zero = jax.tree.map(jnp.zeros_like, parameters)
    return zero if rule == "momentum" else (zero, zero)


def pretrained(key, data, epochs: int):
    """Matrices after full-precision training."""
    (images, labels), _ = data
    steps = epochs * len(labels) // BATCH
    keys = jax.random.split(key, 3)
    begin = (
        jax.random.normal(keys[0], (images.shape[1], HIDDEN)) / images.shape[1] ** 0.5,
        jax.random.normal(keys[1], (HIDDEN, CLASSES)) * (2 / HIDDEN) ** 0.5,
    )

    def update(carry, count):
        weights, memory = carry
        chosen = jax.random.randint(jax.random.fold_in(keys[2], count), (BATCH,), 0, len(labels))
        gradient = jax.grad(lambda at: loss_and_accuracy(at, images[chosen], labels[chosen])[0])(weights)
        memory, direction = moved("momentum", memory, gradient, count)
        rate = RATES["momentum"] * (1 - count / steps)
        return (jax.tree.map(lambda w, m: w - rate * m, weights, direction), memory), None

    return jax.lax.scan(update, (begin, first_memory("momentum", begin)), jnp.arange(steps))[0][0]


def train(rule: str, ranges: str, remedy: str, data, steps: int, key, weights, rate, unit, top) -> dict:
    """One run with quantized weights from pretrained ones; `unit` is the best step for standard normal weights."""
    (images, labels), held_out = data
    sizes = [w.size for w in weights]

    def own_steps(weights, learned):
        if ranges == "learned":
            return learned
        source = weights if ranges == "moving" else start
        return tuple(unit * jnp.sqrt(jnp.mean(w**2)) for w in source)

    def images_of(weights, learned):
        if ranges == "none":
            return weights
        pairs = zip(weights, own_steps(weights, learned), strict=True)
        return tuple(
            quantized(w, jax.lax.stop_gradient(s) if ranges != "learned" else s, top, ranges == "learned")
            for w, s in pairs
        )

    def levels(weights, learned):
        return tuple(cells(w, s, top) for w, s in zip(weights, own_steps(weights, learned), strict=True))

    def measure(weights, learned):
        train_loss, _ = loss_and_accuracy(images_of(weights, learned), images, labels)
        return train_loss, loss_and_accuracy(images_of(weights, learned), *held_out)[1]

    def update(carry, count):
        (weights, learned), memory, running, frozen, averages, flips = carry
        chosen = jax.random.randint(jax.random.fold_in(key, count), (BATCH,), 0, len(labels))

        def loss(parameters):
            return loss_and_accuracy(images_of(*parameters), images[chosen], labels[chosen])[0]

        before = levels(weights, learned)
        by_weights, by_steps = jax.grad(loss)((weights, learned))
        if remedy == "dampening":
            gaps = jax.tree.map(lambda w, q, s: w - s * q, weights, before, own_steps(weights, learned))
            by_weights = jax.tree.map(lambda g, gap: g + DAMPENING * count / steps * gap, by_weights, gaps)
        memory, direction = moved(rule, memory, (by_weights, by_steps), count)
        now = rate * (1 - count / steps) if remedy == "decay" else rate
        following, learned_next = jax.tree.map(lambda p, m: p - now * m, (weights, learned), direction)
        following = jax.tree.map(lambda new, old, stop: jnp.where(stop, old, new), following, weights, frozen)
        after = levels(following, learned_next)
        changed = sum(jnp.sum(a != b) for a, b in zip(before, after, strict=True)) / sum(sizes)
        late = count >= steps // 2
        mean_q = jax.tree.map(lambda q, s: q * s, after, own_steps(following, learned_next))
        averages = jax.tree.map(lambda total, value: total + late * value, averages, (following, mean_q))
        running = jax.tree.map(lambda m, q: m + (q - m) / MEMORY, running, after)
        flips = flips + jnp.where(count >= steps - steps // RECORDS, changed, 0.0)
        return ((following, learned_next), memory, running, frozen, averages, flips), changed

    def freeze(carry, count):
        (weights, learned), memory, running, frozen, averages, flips = carry
        share = jnp.clip((count / steps - 0.5) / 0.375, 0, 1)
        nearest = jax.tree.map(lambda m: jnp.clip(jnp.floor(m) + 0.5, -top, top), running)
        doubt = jax.tree.map(lambda m, q, stop: jnp.where(stop, -1.0, jnp.abs(m - q)), running, nearest, frozen)
        stopping = jax.tree.map(lambda u: (u <= jnp.quantile(u, share)) & (share > 0), doubt)
        targets = jax.tree.map(lambda q, s: q * s, nearest, own_steps(weights, learned))
        weights = jax.tree.map(lambda w, q, stop, was: jnp.where(stop & ~was, q, w), weights, targets, stopping, frozen)
        frozen = jax.tree.map(jnp.logical_or, frozen, stopping)
        return (weights, learned), memory, running, frozen, averages, flips

    def chunk(carry, counts):
        carry, changed = jax.lax.scan(update, carry, counts)
        return (freeze(carry, counts[-1] + 1) if remedy == "freezing" else carry), changed.mean()

    def part(carry, counts):
        carry, changed = jax.lax.scan(chunk, carry, counts)
        return carry, (*measure(*carry[0]), changed.mean())

    start = weights
    learned = tuple(unit * jnp.sqrt(jnp.mean(w**2)) for w in weights)
    nothing = jax.tree.map(jnp.zeros_like, weights)
    frozen = jax.tree.map(lambda w: jnp.zeros(w.shape, bool), weights)
    parameters = weights, learned
    begin = (parameters, first_memory(rule, parameters), levels(*parameters), frozen, (nothing, nothing), 0.0)
    counts = jnp.arange(steps).reshape(RECORDS, CHUNKS, -1)
    first = measure(*parameters)
    (parameters, _, _, _, (sum_w, sum_q), flips), (losses, accuracies, flipping) = jax.lax.scan(part, begin, counts)
    late = steps - steps // 2
    mean_w, mean_q = (jax.tree.map(lambda total: total / late, sums) for sums in (sum_w, sum_q))
    final = own_steps(*parameters)
    offsets = [w / s for w, s in zip(parameters[0], final, strict=True)]
    # inner thresholds of the grid are whole numbers of steps
    near = [jnp.abs(u - jnp.clip(jnp.round(u), 0.5 - top, top - 0.5)) < NEAR for u in offsets]
    rounded = measure(mean_w, parameters[1]) if ranges != "moving" else (jnp.nan, jnp.nan)
    return {
        "start loss": first[0],
        "start accuracy": first[1],
        "losses": losses,
        "loss": losses[-1],
        "accuracy": accuracies[-1],
        "flipping": flipping,
        "flips": flips / (steps // RECORDS),
        "near": sum(jnp.sum(n) for n in near) / sum(sizes),
        "rounded average loss": rounded[0],
        "rounded average accuracy": rounded[1],
        "average loss": loss_and_accuracy(mean_q, images, labels)[0],
        "average accuracy": loss_and_accuracy(mean_q, *held_out)[1],
        "step ratio": jnp.stack(
            [s / unit / jnp.sqrt(jnp.mean(w**2)) for s, w in zip(final, parameters[0], strict=True)]
        ).mean(),
    }


def everything(data, seeds: int, epochs: int, first_epochs: int, bits: tuple[int, ...]) -> dict:
    """All runs: name of the kind -> measure -> array (bits, parts of the rate, seeds, ...)."""
    keys = jax.random.split(jax.random.key(18), seeds)
    steps = -(-(epochs * len(data[0][1]) // BATCH) // (RECORDS * CHUNKS)) * RECORDS * CHUNKS
    weights = jax.jit(jax.vmap(lambda key: pretrained(key, data, first_epochs)))(keys)
    full = jax.jit(jax.vmap(lambda w: jnp.stack([loss_and_accuracy(w, *part)[i] for i, part in enumerate(data)])))
    full_loss, full_accuracy = np.asarray(full(weights)).T
    units, tops = jnp.asarray([normal_step(b) for b in bits]), jnp.asarray([2 ** (b - 1) - 0.5 for b in bits])
    found = {"full precision": {"loss": full_loss, "accuracy": full_accuracy}}
    kinds = [(rule, ranges, "none") for rule in RATES for ranges in RANGES]
    kinds += [(rule, "none", "none") for rule in RATES]
    kinds += [(rule, "fixed", remedy) for rule in RATES for remedy in REMEDIES]
    for rule, ranges, remedy in kinds:
        # what does not depend on the rate is run at one
        parts = PARTS if ranges in ("fixed", "none") and remedy == "none" else PARTS[:1]
        one = functools.partial(train, rule, ranges, remedy, data, steps)
        over_seeds = jax.vmap(one, (0, 0, None, None, None))
        over_rates = jax.vmap(over_seeds, (None, None, 0, None, None))
        over_bits = jax.jit(jax.vmap(over_rates, (None, None, None, 0, 0)))
        rates = RATES[rule] * jnp.asarray(parts)
        name = f"{rule}, {'not quantized' if ranges == 'none' else ranges}" + (
            "" if remedy == "none" else f", {remedy}"
        )
        begin = time.perf_counter()
        found[name] = jax.tree.map(np.asarray, over_bits(keys, weights, rates, units, tops))
        print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
    return found


def summary(values) -> str:
    """Mean over seeds and standard error."""
    values = np.asarray(values, dtype=float)
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(values.size)
    digits_shown = max(0, 1 - int(np.floor(np.log10(error)))) if error > 0 else 4
    return f"{mean:.{min(digits_shown, 5)}f} ± {error:.{min(digits_shown, 5)}f}"


def paired(difference) -> float:
    """The mean of a paired difference over seeds in standard errors."""
    error = difference.std(ddof=1) / np.sqrt(difference.size)
    return float(difference.mean() / error) if error > 0 else float(np.sign(difference.mean()) * np.inf)


def statements(found: dict, bits: tuple[int, ...]) -> list[dict]:
    """What the theory says, what the networks did, and whether it holds, one entry for each statement and rule."""
    entries = []

    def add(rule: str, says: str, cells: list[tuple[str, bool]]):
        entries.append(
            {"rule": rule, "theory": says, "network": [text for text, _ in cells], "holds": [ok for _, ok in cells]}
        )

    def at(name, measure, index, part=0):
        return found[name][measure][index, part].astype(float)

    def lower(a, b, index_text="{} against {}"):
        """b is lower than a by two standard errors of the paired difference."""
        return index_text.format(summary(b), summary(a)), paired(a - b) > 2

    every = range(len(bits))

    def excess(rule, index, part=0):
        """Of the loss over that of the same training without quantizers."""
        return at(f"{rule}, fixed", "loss", index, part) - at(f"{rule}, not quantized", "loss", index, part)

    for rule in RATES:
        base = f"{rule}, fixed"
        ratios = [at(base, "flips", i, 2) / at(base, "flips", i, 0) for i in every]
        says = "flips per step do not depend on the rate: a quarter of it gives the ratio 1 (between 0.75 and 1.33)"
        add(rule, says, [(summary(r), bool(0.75 < r.mean() < 1.33)) for r in ratios])
        says = "the floor stays at a lower rate: at a quarter of it the excess over no quantizers is more than half"
        losses = [(excess(rule, i, 0), excess(rule, i, 2)) for i in every]
        texts = [f"{summary(b)} against {summary(a)}" for a, b in losses]
        add(rule, says, [(text, bool(b.mean() > a.mean() / 2)) for text, (a, b) in zip(texts, losses, strict=True)])
        for remedy in REMEDIES:
            says = f"{remedy} ends the dithering: fewer flips at the end than a tenth"
            pairs = [(at(base, "flips", i), at(f"{base}, {remedy}", "flips", i)) for i in every]
            add(
                rule,
                says,
                [(f"{b.mean():.1e} against {a.mean():.1e}", bool(b.mean() < a.mean() / 10)) for a, b in pairs],
            )
            says = f"and with {remedy} the loss is lower than that of the last iterate"
            add(rule, says, [lower(at(base, "loss", i), at(f"{base}, {remedy}", "loss", i)) for i in every])
        says = "the average of w, rounded once, has a lower loss than the last iterate"
        add(rule, says, [lower(at(base, "loss", i), at(base, "rounded average loss", i)) for i in every])
        says = "the average of Q(w), not rounded, has a lower loss than the last iterate"
        add(rule, says, [lower(at(base, "loss", i), at(base, "average loss", i)) for i in every])
        says = (
            "at a fixed rate a short run is better than a long one: the lowest of 8 losses comes before the last eighth"
        )
        curves = [found[base]["losses"][i, 0].mean(axis=0) for i in every]
        add(
            rule,
            says,
            [
                (f"part {c.argmin() + 1}: {c.min():.4f}, end {c[-1]:.4f}", bool(c.argmin() < RECORDS - 1))
                for c in curves
            ],
        )
        says = "LSQ's range is smaller than the mean squared error of its weights asks for"
        ratios = [at(f"{rule}, learned", "step ratio", i) for i in every]
        add(rule, says, [(summary(r), paired(1 - r) > 2) for r in ratios])
        says = "and the learned range has a lower loss than the fixed one"
        add(rule, says, [lower(at(base, "loss", i), at(f"{rule}, learned", "loss", i)) for i in every])
    gaps = [excess("Adam", i).mean() / excess("momentum", i).mean() for i in every]
    says = "the optimizer does not remove the floor: the excess over no quantizers is the same within a factor of 2"
    add("both", says, [(f"Adam's is {g:.2f} of momentum's", bool(0.5 < g < 2)) for g in gaps])
    return entries


def rows(found: dict, bits: tuple[int, ...]) -> list[list[str]]:
    """The table of all kinds of runs."""
    full = found["full precision"]
    table = [["full precision", "", summary(full["loss"]), summary(100 * full["accuracy"]), "", ""]]
    for name in (f"{rule}, not quantized" for rule in RATES):
        values = (found[name]["loss"], 100 * found[name]["accuracy"])
        table.append([name, "", *(summary(value[0, 0]) for value in values), "", ""])
    for index, count in enumerate(bits):
        start = found["momentum, fixed"]
        rounded = (start["start loss"][index, 0], 100 * start["start accuracy"][index, 0])
        table.append(["rounded once", str(count), *map(summary, rounded), "", ""])
        for name, kind in found.items():
            if "flips" in kind and "not quantized" not in name:
                values = (kind["loss"], 100 * kind["accuracy"], 100 * kind["flips"], 100 * kind["near"])
                table.append([name, str(count), *(summary(value[index, 0]) for value in values)])
    return table


HEAD = ["run", "bits", "training loss", "test accuracy, %", "flips per step, %", "near a threshold, %"]


def table(head: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])


def verdicts(entries: list[dict], bits: tuple[int, ...]) -> str:
    """The table of statements."""
    lines = [
        [
            entry["theory"],
            entry["rule"],
            *(
                f"{text}: {'yes' if ok else '**no**'}"
                for text, ok in zip(entry["network"], entry["holds"], strict=True)
            ),
        ]
        for entry in entries
    ]
    return table(["the linear theory says", "rule", *(f"{count} bits" for count in bits)], lines)


def draw(found: dict, bits: tuple[int, ...], path: pathlib.Path) -> None:
    """Training loss over the run for the rules and remedies, one panel for each number of bits."""
    with style.settings():
        figure = Figure(figsize=(3.4 * len(bits), 3.7), layout="constrained")
        panels = figure.subplots(1, len(bits), squeeze=False)[0]
        names = [name for name in found if name.startswith("momentum")]
        for index, (ax, count) in enumerate(zip(panels, bits, strict=True)):
            for number, name in enumerate(names):
                kind = found[name]
                losses = np.concatenate([kind["start loss"][index, 0][:, None], kind["losses"][index, 0]], axis=1)
                color, line = style.COLORS[number % len(style.COLORS)], style.LINES[number % len(style.LINES)]
                ax.plot(np.linspace(0, 1, RECORDS + 1), losses.mean(axis=0), color=color, linestyle=line, label=name)
            ax.axhline(found["full precision"]["loss"].mean(), color=style.GRAY, linewidth=0.8)
            ax.set(title=f"{count} bits", xlabel="part of the training", yscale="log")
        panels[0].set_ylabel("training loss")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
        figure.savefig(path, dpi=120)


def read_data() -> list[tuple[jax.Array, jax.Array]]:
    """Images (samples, pixels) and classes for training, and those held out."""
    images, labels = digits()
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = images[order], labels[order]
    out = np.arange(len(labels)) % 5 == 0
    mean, std = images[~out].mean(), images[~out].std()
    parts = [(images[~out], labels[~out]), (images[out], labels[out])]
    return [(jnp.asarray((images - mean) / std), jnp.asarray(labels)) for images, labels in parts]


def main(arguments: list[str] | None = None) -> None:
    """Train, print, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/digits_training"))
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="passes over the training images with quantizers")
    parser.add_argument("--first-epochs", type=int, default=FIRST_EPOCHS, help="passes before, without")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="at least 2")
    parser.add_argument("--bits", type=int, nargs="+", default=list(BITS), help="from 2 to 8")
    given = parser.parse_args(arguments)
    if given.seeds < 2 or given.epochs < 1 or given.first_epochs < 1 or not all(2 <= b <= 8 for b in given.bits):
        parser.error("at least 2 seeds, 1 epoch of either kind, and bits from 2 to 8")
    begin, bits = time.perf_counter(), tuple(given.bits)
    found = everything(read_data(), given.seeds, given.epochs, given.first_epochs, bits)
    entries = statements(found, bits)
    print(table(HEAD, rows(found, bits)), verdicts(entries, bits), sep="\n\n")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "settings": {"seeds": given.seeds, "epochs": given.epochs, "first epochs": given.first_epochs, "bits": bits},
        "table": rows(found, bits),
        "statements": entries,
        "numbers": {
            name: {key: np.round(np.float64(value), 6).tolist() for key, value in kind.items()}
            for name, kind in found.items()
        },
    }
    given.out.with_suffix(".json").write_text(json.dumps(content).replace("NaN", "null") + "\n")
    draw(found, bits, given.out.with_suffix(".png"))
    print(f"{time.perf_counter() - begin:.0f} s; written: {given.out}.json, {given.out}.png")


if __name__ == "__main__":
    main()
