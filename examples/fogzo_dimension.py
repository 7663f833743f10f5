"""Passes to a given error against the dimension: plain SPSA beside FOGZO and the straight-through estimator.

    python examples/fogzo_dimension.py --out docs/images/fogzo_dimension

The linear student with 3-bit weights, teacher and initial weights N(0, 1), label noise 0.1; one fresh sample a step,
one direction for SPSA and FOGZO. eps is what the identity surrogate gives. For each dimension the learning rate is the
best of a grid, by the mean over the seeds of the time at which the error first is TARGET. A step of STE and SPSA is 2
passes (forward and backward; two forward), one of FOGZO 4. Two minutes on two cores.

Written: OUT.png, and OUT.json with every number in it.
"""

import argparse
import functools
import itertools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from steode import Uniform
from steode.estimators import Quantized, fogzo, spsa, ste
from steode.plot import style

QUANTIZER, NOISE, SHARE = Uniform(bits=3, range=2.0), 0.1, 2.0
"""Of the weights; of the labels; c = (1 - beta) d of FOGZO."""
DIMS, SEEDS, TARGET = (32, 64, 128, 256), 8, 0.3
RECORDS = 192
RULES = {"STE": 2, "FOGZO": 4, "SPSA": 2}
"""Passes of a step."""


def compute(dims=DIMS, seeds=SEEDS, target=TARGET) -> dict:
    """Time tau = steps/d until the error is `target`, of every seed at the best learning rate."""
    rows = []
    for name, dim in itertools.product(RULES, dims):
        slow = name == "SPSA"
        taus = np.linspace(0, 12 * dim if slow else 48, RECORDS + 1)
        rates = 0.8 * 2.0 ** np.arange(-4, 2) / (dim if slow else 1)
        errors = np.asarray(runs(name, dim, round(taus[1] * dim), RECORDS, jnp.asarray(rates), seeds))
        found = [[first_below(taus, run, target) for run in of_rate] for of_rate in errors]
        best = int(np.argmin(np.mean(found, axis=1)))
        about = {"rule": name, "dim": dim, "rate": float(rates[best]), "tau": found[best]}
        rows.append(about | {"at_the_edge": best in (0, rates.size - 1)})
        print(about, flush=True)
    means = {name: [np.mean(row["tau"]) for row in rows if row["rule"] == name] for name in RULES}
    slopes = {name: float(np.polyfit(np.log(dims), np.log(mean), 1)[0]) for name, mean in means.items()}
    return {"target": target, "seeds": seeds, "rows": rows, "exponents": slopes}


def first_below(taus, errors, target: float) -> float:
    """First time at which the error is `target`, by interpolation; infinite if it never is."""
    below = np.flatnonzero(errors <= target)
    if not below.size:
        return np.inf
    last = slice(below[0] - 1, below[0] + 1)
    return float(np.interp(-target, -errors[last], taus[last]))


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 5))
def runs(name: str, dim: int, every: int, records: int, rates, seeds: int):
    """Errors (rates, seeds, records + 1) of a linear student with quantized weights, one fresh sample a step."""
    half = QUANTIZER.levels[-1]
    step = QUANTIZER.levels[1] - QUANTIZER.levels[0]
    quantized = Quantized("identity", float(step))
    estimator = {"STE": ste, "SPSA": spsa(1, quantized), "FOGZO": fogzo(1, 1 - SHARE / dim, quantized)}[name]

    def quantize(weights):
        levels = jnp.clip(step * (jnp.floor(weights / step) + 0.5), -half, half)
        return weights + jax.lax.stop_gradient(levels - weights)

    def one(rate, seed):
        keys = jax.random.split(jax.random.key(seed), 3)
        teacher, weights = (jax.random.normal(key, (dim,)) for key in keys[:2])

        def error(weights):
            return jnp.mean((quantize(weights) - teacher) ** 2) / 2

        def update(weights, index):
            sample, noise, direction = jax.random.split(jax.random.fold_in(keys[2], index), 3)
            x, label = jax.random.normal(sample, (dim,)), NOISE * jax.random.normal(noise)
            loss = lambda at: (x @ (quantize(at) - teacher) / dim**0.5 - label) ** 2 / 2  # noqa: E731
            return weights - rate * estimator(loss, weights, direction).gradient, None

        def part(weights, indices):
            weights, _ = jax.lax.scan(update, weights, indices)
            return weights, error(weights)

        _, errors = jax.lax.scan(part, weights, jnp.arange(every * records).reshape(records, every))
        return jnp.append(error(weights), errors)

    return jax.vmap(lambda rate: jax.vmap(lambda seed: one(rate, seed))(jnp.arange(seeds)))(rates)


def draw(data: dict) -> Figure:
    """Passes over dimension against the dimension."""
    figure = Figure(figsize=(5.6, 4.0), layout="constrained")
    ax = style.axes(figure.subplots())
    for number, (name, exponent) in enumerate(data["exponents"].items()):
        rows = [row for row in data["rows"] if row["rule"] == name]
        dims = [row["dim"] for row in rows]
        spent = np.array([np.multiply(row["tau"], RULES[name]) for row in rows])
        look = style.look(number) | {"marker": style.MARKERS[number], "markerfacecolor": "white", "capsize": 2.5}
        error = spent.std(axis=1, ddof=1) / data["seeds"] ** 0.5
        ax.errorbar(dims, spent.mean(axis=1), error, label=f"{name}: exponent {exponent:.2f}", **look)
    ax.set(xlabel="dimension $d$", xscale="log", yscale="log")
    ax.set_ylabel(rf"passes$/d$ until $\varepsilon_g$ = {data['target']:g}")
    ax.set_xticks(dims, dims)
    ax.minorticks_off()
    style.legend(ax)
    return figure


def main(arguments: list[str] | None = None) -> None:
    """Train, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/fogzo_dimension"))
    parser.add_argument("--dims", type=int, nargs="+", default=DIMS, help="multiples of 8, at least two")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="at least 2")
    parser.add_argument("--redraw", action="store_true", help="figure from OUT.json, without training")
    given = parser.parse_args(arguments)
    if given.seeds < 2 or len(given.dims) < 2 or any(dim < 1 or dim % 8 for dim in given.dims):
        parser.error("--seeds takes 2 or more, --dims two multiples of 8 or more")
    path = given.out.with_suffix(".json")
    if given.redraw:
        data = json.loads(path.read_text(encoding="utf-8"))
    else:
        data = compute(tuple(given.dims), given.seeds)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data) + "\n", encoding="utf-8")
    with style.settings():
        draw(data).savefig(given.out.with_suffix(".png"), dpi=130)


if __name__ == "__main__":
    main()
