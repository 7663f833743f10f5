"""Numeric checks of a derivation's equations: theory beside simulation, a few seconds each.

Every check takes a model and returns a matplotlib figure (or None) and one paragraph of Markdown whose numbers it
measured. The simulations share no formula with the theory; sizes are small, so that the docs build in minutes.
"""

import functools

import matplotlib

matplotlib.use("Agg")
import jax
import matplotlib.pyplot as plt
import numpy as np

from steode import (
    ClippedSurrogate,
    Identity,
    compare,
    derive,
    fixed_points,
    plateau,
    plateau_estimate,
    plot,
    simulate,
    solve,
)
from steode.bridge import numeric_map
from steode.plot import style
from steode.solvers.sign_moments import sign_moments as sign_integrals
from steode.symbolic import symbols as sym

DIM, SEEDS = 500, 16


def _axes(columns: int = 1, height: float = 3.4):
    figure, axes = plt.subplots(
        1, columns, figsize=(4.4 * columns if columns > 1 else 6.0, height), layout="constrained"
    )
    return figure, axes


def input_moments(model, samples: int = 1_000_000):
    """The two input moments: closed form against plain Monte Carlo over the entrywise map."""
    limit = derive(model)
    x = np.random.default_rng(0).standard_normal(samples)
    z = model.input_quantizer(x)
    lines, scores = [], []
    for symbol, product in ((sym.alpha_1, x * z), (sym.alpha_2, z * z)):
        exact = float(limit.numeric(symbol))
        mean, error = product.mean(), product.std() / np.sqrt(samples)
        scores.append(abs(mean - exact) / error)
        lines.append(f"$\\{symbol.name} = {exact:.5f}$ from the equation, ${mean:.5f} \\pm {error:.5f}$ sampled")
    return None, f"{'; '.join(lines)} ({samples:,} inputs; largest $|z|$ {max(scores):.1f})."


def sign_moments(model, samples: int = 400_000):
    """The averages over batches of inputs: integrals over one variable against plain Monte Carlo."""
    with jax.enable_x64(True):
        exact = sign_integrals(numeric_map(model.input_quantizer), model.batch_size)
    x = np.random.default_rng(0).standard_normal((samples, model.batch_size))
    z = model.input_quantizer(x)
    norm = np.sqrt(np.sum(z**2, axis=1))
    lines, scores = [], []
    for name, value, draws in (("1", exact.teacher, np.sum(x * z, axis=1) / norm), ("2", exact.student, norm)):
        mean, error = draws.mean(), draws.std() / np.sqrt(samples)
        scores.append(abs(mean - float(value)) / error)
        lines.append(f"$\\beta_{name} = {float(value):.5f}$ from the integral, ${mean:.5f} \\pm {error:.5f}$ sampled")
    return None, f"{'; '.join(lines)} ({samples:,} batches; largest $|z|$ {max(scores):.1f})."


@functools.lru_cache(maxsize=1)
def _limit(model, t_end: float):
    """The limit that two checks of a page are about."""
    return solve(model, t_end, tolerance=1e-3)


def trajectory(model, t_end: float):
    """The error over time, limit and runs, and their gap in standard errors."""
    theory = _limit(model, t_end)
    runs = simulate(model, DIM, t_end, seeds=SEEDS, times=np.linspace(0, t_end, 21))
    comparison = compare(theory, runs)
    figure, ax = _axes()
    plot.trajectory(theory, runs, ax=ax)
    gap = np.abs(runs.mean("eps_g") - comparison.theory).max()
    return figure, (
        f"Limit (line) and {SEEDS} runs of the algorithm at $d = {DIM}$ (mean, and one standard deviation of a run): "
        f"largest $|z|$ {comparison.largest_z:.2f} over {runs.times.size} times, largest gap {gap:.4f}."
    )


def density(model, times: tuple[float, ...]):
    """The law of the latent weights at some times: density equation against histograms."""
    theory = solve(model, times[-1], tolerance=1e-3, snapshot_times=times)
    runs = simulate(model, 2000, times[-1], seeds=8, times=[0.0, times[-1]], snapshot_times=times)
    figure, axes = _axes(len(times), 3.6)
    distances = []
    for time, ax in zip(times, np.atleast_1d(axes), strict=True):
        plot.density(theory, time, runs, bins=60, ax=ax)
        ax.get_legend().remove()
        distances.append(_distance(theory, runs, time, model.surrogate))
    handles, labels = np.atleast_1d(axes)[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    listed = ", ".join(f"{value:.4f}" for value in distances)
    return figure, (
        f"Latent weights at $\\tau = {', '.join(f'{time:g}' for time in times)}$: density equation (line) and 16,000 "
        f"weights of 8 runs at $d = 2000$. Largest distance of the two distribution functions: {listed} "
        f"(0.0108 is the five-percent level of Kolmogorov and Smirnov for independent weights; those of one run share "
        f"its samples).{_frozen(theory, runs, model.surrogate)}"
    )


def _frozen(theory, runs, surrogate) -> str:
    """With a clipped surrogate, the share of frozen weights at the last time."""
    if not isinstance(surrogate, ClippedSurrogate):
        return ""
    law = theory.density
    share = (law.marginal[-1] * law.volumes)[np.abs(law.nodes) > surrogate.bound * (1 - 1e-9)].sum()
    counted = (np.abs(runs.snapshots.weights[:, -1]) >= surrogate.bound).mean()
    return (
        " Distances are taken within 0.9 of the bound: a run freezes its weights a little beyond it, by order "
        f"$d^{{-1/2}}$. Frozen at the end: {share:.4f} of the weights in the limit, {counted:.4f} in the runs."
    )


def _distance(theory, runs, time: float, surrogate) -> float:
    law = theory.density
    index = int(np.argmin(np.abs(law.times - time)))
    mass = np.cumsum(law.marginal[index] * law.volumes)
    # the distribution function at the faces between the nodes' cells
    faces = (law.nodes[1:] + law.nodes[:-1]) / 2
    inside = np.abs(faces) < 0.9 * getattr(surrogate, "bound", np.inf)
    shown = int(np.argmin(np.abs(runs.snapshots.times - time)))
    weights = np.sort(runs.snapshots.weights[:, shown].ravel())
    return float(np.abs(np.searchsorted(weights, faces) / weights.size - mass[:-1])[inside].max())


def closure(model, t_end: float):
    """The Gaussian closure beside the exact limit."""
    exact = _limit(model, t_end)
    closed = solve(model, t_end, method="gaussian")
    figure, ax = _axes()
    plot.trajectory(exact, label="density equation", ax=ax)
    plot.trajectory(closed, label="Gaussian closure", color=1, ax=ax)
    relative = closed.mean("eps_g") / exact.mean("eps_g") - 1
    worst = int(np.abs(relative).argmax())
    return figure, (
        f"Closure and exact limit: the largest relative deviation here is {100 * relative[worst]:+.1f} percent, "
        f"at $\\tau = {exact.times[worst]:.3g}$."
    )


def stationary(model, target: float):
    """The stationary density in closed form against the weights of long runs."""
    point = fixed_points(model)[0]
    runs = simulate(model, DIM, 150.0, seeds=SEEDS, times=[150.0], snapshot_times=[110.0, 120.0, 130.0, 140.0, 150.0])
    weights = runs.snapshots.weights[:, 1:].ravel()
    low, high = np.quantile(weights, [0.0005, 0.9995])
    grid = np.linspace(low, high, 800)
    figure, ax = _axes()
    ax = style.axes(ax)
    edges = np.linspace(low, high, 61)
    heights = np.histogram(weights, edges)[0] / (weights.size * np.diff(edges))
    ax.stairs(
        heights,
        edges,
        fill=True,
        color=style.COLORS[5],
        alpha=0.5,
        label=f"simulation, $\\tau$ = 110 to 150, $d = {DIM}$",
    )
    ax.plot(grid, point.density(grid, target), color=style.COLORS[0], label="closed form")
    inside = [edge for edge in model.weight_quantizer.thresholds if low < edge < high]
    for number, edge in enumerate(inside):
        ax.axvline(edge, color=style.GRAY, linestyle=":", label=None if number else "thresholds")
    ax.set(xlabel="latent weight $w$", ylabel="stationary density $p(w)$", ylim=(0, None))
    style.legend(ax)
    probability = point.level_probabilities(target)
    levels = model.weight_quantizer.levels
    image = model.weight_quantizer(weights)
    shares = ", ".join(
        f"{value:.4f} ({(np.isclose(image, level)).mean():.4f})"
        for level, value in zip(levels, probability, strict=True)
        if value > 1e-4
    )
    return figure, (
        f"Stationary density at the fixed point $\\varepsilon_g = {point.eps_g:.5f}$ and late weights of {SEEDS} runs. "
        f"Probability of each level in the closed form, and in the runs in parentheses: {shares}; "
        f"mean of $Q$ in the runs {image.mean():.4f}, target {float(probability @ levels):.4f}."
    )


def floor(model, rates: tuple[float, ...]):
    """Fixed point against learning rate, with and without quantized weights, and the floor; late runs on top."""
    plain = model.replace(weight_quantizer=Identity())
    shown = np.geomspace(0.02, 1.9, 25)
    figure, ax = _axes()
    ax = style.axes(ax)
    scores = []
    for number, (spec, label) in enumerate(((model, "quantized weights"), (plain, "unquantized"))):
        errors = [fixed_points(spec.replace(learning_rate=float(rate)))[0].eps_g for rate in shown]
        ax.plot(shown, errors, color=style.COLORS[number], label=f"{label}: fixed point")
        for rate in rates:
            runs = simulate(
                spec.replace(learning_rate=rate), DIM, 60 / rate, seeds=4, times=np.linspace(40, 60, 41) / rate
            )
            by_seed = runs["eps_g"].mean(axis=1)
            mean, error = by_seed.mean(), by_seed.std(ddof=1) / 2
            exact = fixed_points(spec.replace(learning_rate=rate))[0].eps_g
            scores.append((label, rate, exact, mean, error))
            ax.errorbar(rate, mean, error, fmt="o", color=style.COLORS[number], fillstyle="none", capsize=3)
    smallest = fixed_points(model.replace(learning_rate=1e-4))[0].eps_g
    ax.axhline(smallest, color=style.GRAY, linestyle="--", label=f"floor, {smallest:.4f}")
    ax.set(xscale="log", yscale="log", xlabel=r"learning rate $\eta$", ylabel=r"late error $\varepsilon_g$")
    style.legend(ax)
    table = "; ".join(
        f"{label}, $\\eta = {rate:g}$: {exact:.4f}, runs {mean:.4f} ± {error:.4f}"
        for label, rate, exact, mean, error in scores
    )
    return (
        figure,
        f"Lines are `fixed_points`, points the late error of 4 runs at $d = {DIM}$ with its standard error. {table}.",
    )


def plateaus(model, ranges: tuple[float, ...]):
    """Plateau length against range: measured on the limit and on runs, and the analytic estimate."""
    found, estimates, measured, spread = [], [], [], []
    for omega in ranges:
        spec = model.replace(weight_quantizer=type(model.weight_quantizer)(bits=3, range=omega, kind="mid-tread"))
        predicted = plateau_estimate(spec)
        t_end = 2.5 * predicted.length
        estimates.append(predicted.length)
        found.append(plateau(solve(spec, t_end, tolerance=1e-3)).length)
        runs = plateau(simulate(spec, DIM, t_end, seeds=4))
        measured.append(runs.length)
        spread.append(runs.spread)
    figure, ax = _axes()
    plot.plateau_against_range(ranges, found, measured, spread=spread, estimate=estimates, ax=ax)
    numbers = "; ".join(
        f"$\\omega = {omega:g}$: {a:.2f}, {b:.2f}, {c:.2f}"
        for omega, a, b, c in zip(ranges, estimates, found, measured, strict=True)
    )
    return (
        figure,
        f"Length of the plateau from the equation, of the limit, and of the mean of 4 runs at $d = {DIM}$: {numbers}.",
    )
