"""Checks of the derivation of FOGZO: flips counted one by one, one step of the algorithm, and runs beside the limit."""

import numpy as np
from checks import _axes

from steode import derive, simulate, solve
from steode.plot import style
from steode.symbolic import symbols as sym

DIMS = (100, 1_000, 10_000)
DRAWS = 1_000


def _moments(model) -> tuple[float, float]:
    """alpha_2, and the mean slope p at the initial law."""
    start = solve(model, 1e-3, times=[0.0, 1e-3], tolerance=1e-3)
    return float(derive(model).numeric(sym.alpha_2)), float(start["mean_slope"][0])


def _draw(model, generator, dim: int):
    """Teacher, weights, input, and residual of one sample."""
    teacher, weights = model.teacher.sample(generator, dim), model.init.sample(generator, dim)
    x = generator.standard_normal(dim)
    label = teacher @ x / np.sqrt(dim) + model.noise * generator.standard_normal()
    z = model.input_quantizer(x)
    return weights, z, label, model.weight_quantizer(weights) @ z / np.sqrt(dim) - label


def _direction(model, generator, gradient):
    """One direction of the update rule (uniform u), and its sign."""
    share, sign = model.update_rule.c / gradient.size, generator.choice([-1, 1])
    u = generator.uniform(-np.sqrt(3), np.sqrt(3), gradient.size)
    return sign * np.sqrt(1 - share) * gradient / np.linalg.norm(gradient) + np.sqrt(share) * u, sign


def flips(model):
    """The change of the output along a direction, sampled, against eps p sqrt(alpha_2)."""
    alpha_2, slope = _moments(model)
    generator, eps = np.random.default_rng(0), model.update_rule.eps
    figure, ax = _axes()
    style.axes(ax)
    parts, spreads = [], []
    for number, dim in enumerate(DIMS):
        ratios = []
        for _ in range(DRAWS):
            weights, z, _, residual = _draw(model, generator, dim)
            direction, sign = _direction(model, generator, residual * z / np.sqrt(dim))
            flipped = model.weight_quantizer(weights + eps * direction) - model.weight_quantizer(weights)
            ratios.append(sign * np.sign(residual) * (flipped @ z) / np.sqrt(dim) / (eps * np.sqrt(alpha_2)))
        ax.hist(ratios, 50, density=True, histtype="step", label=f"$d = {dim:,}$", **style.look(number))
        parts.append(f"${np.mean(ratios):.4f} \\pm {np.std(ratios) / np.sqrt(DRAWS):.4f}$ at $d = {dim:,}$")
        spreads.append(np.std(ratios))
    ax.axvline(slope, color=style.GRAY, label="$p$ of the equation")
    ax.set(xlabel=r"change of the output over $\epsilon \sqrt{\alpha_2}$, with its sign", ylabel="density")
    style.legend(ax)
    power = np.polyfit(np.log(DIMS), np.log(spreads), 1)[0]
    listed = ", ".join(f"{value:.3f}" for value in spreads)
    return figure, (
        f"Change of the output along {DRAWS:,} directions at the initial law, over $\\epsilon\\sqrt{{\\alpha_2}}$: "
        f"{', '.join(parts)}; $p = {slope:.4f}$. Its standard deviation, {listed}, falls with the power {power:.2f} of "
        "$d$; the derivation has $-\\frac14$, from a mean square of order $d^{-1/2}$."
    )


def one_step(model):
    """The variance of one step of the algorithm, sampled, against eta^2 p^2 alpha_2 V (1 + c/n)."""
    alpha_2, slope = _moments(model)
    rule, generator = model.update_rule, np.random.default_rng(1)
    expected = (model.learning_rate * slope) ** 2 * alpha_2 * rule.noise_factor
    parts = []
    for dim in DIMS:
        squares, losses = [], []
        for _ in range(DRAWS):
            weights, z, label, residual = _draw(model, generator, dim)
            step = np.zeros(dim)
            for _ in range(rule.n):
                direction, _ = _direction(model, generator, residual * z / np.sqrt(dim))
                errors = [
                    model.weight_quantizer(weights + side * rule.eps * direction) @ z / np.sqrt(dim) - label
                    for side in (1, -1)
                ]
                step += (errors[0] ** 2 - errors[1] ** 2) / (4 * rule.eps) * direction / rule.n
            squares.append(model.learning_rate**2 * step @ step)
            losses.append(residual**2)
        # of a ratio of means, which varies less than the squared step itself
        ratio = np.mean(squares) / np.mean(losses)
        error = np.std(np.array(squares) - ratio * np.array(losses)) / np.mean(losses) / np.sqrt(DRAWS)
        parts.append(f"${ratio:.4f} \\pm {error:.4f}$ at $d = {dim:,}$")
    return None, (
        f"Sum over coordinates of the squared step over the squared residual, means of {DRAWS:,} steps "
        f"of the algorithm from the initial law: {', '.join(parts)}; "
        f"$\\eta^2 p^2 \\alpha_2 (1 + c_u/n) = {expected:.4f}$. What is left at finite $d$ is the fluctuation of the "
        "flips, of relative order $d^{-1/2}$."
    )


def runs(model, t_end: float):
    """The error over time, limit and runs of two dimensions, and their gap."""
    theory = solve(model, t_end, tolerance=1e-3)
    figure, ax = _axes()
    style.axes(ax).plot(theory.times, theory["eps_g"], label="limit", **style.look(0))
    parts = []
    for number, (dim, seeds) in enumerate(((200, 32), (800, 8), (3200, 2)), start=1):
        found = simulate(model, dim, t_end, seeds=seeds, times=np.linspace(0, t_end, 17))
        limit = np.interp(found.times, theory.times, theory["eps_g"])
        gaps = (found["eps_g"] / limit - 1)[:, 1:].mean(axis=1)
        error = gaps.std(ddof=1) / np.sqrt(seeds)
        parts.append(f"${100 * gaps.mean():.1f} \\pm {100 * error:.1f}$ percent at $d = {dim}$ ({seeds} runs)")
        look = {"color": style.COLORS[number], "marker": style.MARKERS[number], "linestyle": "none"}
        ax.plot(found.times, found.mean("eps_g"), fillstyle="none", markersize=4.5, label=f"$d = {dim}$", **look)
    ax.set(xlabel=style.TIME, ylabel=style.SYMBOLS["eps_g"], ylim=(0, None))
    style.legend(ax)
    return figure, (
        "Limit, and mean of runs of the algorithm. Relative distance of the runs from the limit, averaged over the "
        f"times: {', '.join(parts)}. It is of order $1/(\\epsilon\\sqrt d)$."
    )


def slope(model, t_end: float):
    """The weights near the thresholds over time, of the density equation and of runs; and the slope they make."""
    times, width = np.linspace(0, t_end, 9), 0.05
    theory = solve(model, t_end, tolerance=1e-3, snapshot_times=times)
    seen = simulate(model, 2000, t_end, seeds=8, times=[0.0, t_end], snapshot_times=times)
    thresholds, jumps = model.weight_quantizer.thresholds, np.diff(model.weight_quantizer.levels)
    near = np.abs(seen.snapshots.weights[..., None] - thresholds) < width
    counted = near.mean(axis=2) @ jumps / (2 * width)
    law = theory.density
    faces, below = (law.nodes[1:] + law.nodes[:-1]) / 2, np.cumsum(law.marginal * law.volumes, axis=1)[:, :-1]
    within = [
        jumps @ (np.interp(thresholds + width, faces, row) - np.interp(thresholds - width, faces, row)) / (2 * width)
        for row in below
    ]
    figure, ax = _axes()
    style.axes(ax).plot(theory.times, theory["mean_slope"], label="density at the thresholds", **style.look(0))
    ax.plot(law.times, within, label=f"density within {width} of them", **style.look(1))
    error = counted.std(axis=0, ddof=1) / np.sqrt(len(counted))
    look = {"color": style.COLORS[1], "fmt": "o", "fillstyle": "none", "capsize": 2.5}
    ax.errorbar(seen.snapshots.times, counted.mean(axis=0), error, label="weights of runs within as much", **look)
    ax.set(xlabel=style.TIME, ylabel="mean slope $p$", ylim=(0, None))
    style.legend(ax)
    return figure, (
        f"Latent weights within {width} of a threshold, times the jump, over {2 * width:g}, at $\\tau = {t_end:g}$: "
        f"{within[-1]:.3f} in the limit, ${counted[:, -1].mean():.3f} \\pm {error[-1]:.3f}$ in 8 runs at $d = 2000$. "
        "At the thresholds themselves, where the density has cusps, the limit has "
        f"$p = {theory['mean_slope'][-1]:.3f}$."
    )
