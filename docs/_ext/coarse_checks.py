"""Checks of the derivation of the binarized ReLU: against quadrature, samples, and training itself."""

import dataclasses

import jax
import numpy as np
from checks import _axes

from steode import binary_relu
from steode.plot import style
from steode.systems.binary_relu.compiled import compile_averages
from steode.systems.binary_relu.surrogates import check_surrogate

SAMPLES, POINTS = 40_000, 8
LENGTHS, ANGLES = (0.05, 0.5, 2.0, 10.0), (0.01, 0.5, 1.5, 2.5, 3.1)
T_END, STEP, BATCH, SEEDS = 20.0, 0.02, 256, 8


def averages(model):
    """The four averages in closed form beside quadrature of mu', over lengths and angles."""
    own = check_surrogate(model.surrogate.derivative)
    with jax.enable_x64(True):
        closed, numeric = (jax.jit(compile_averages(surrogate)) for surrogate in (model.surrogate, own))
        pairs = [(closed(R, theta), numeric(R, theta)) for R in LENGTHS for theta in ANGLES]
        largest = max(float(np.abs(np.subtract(*map(np.array, pair))).max()) for pair in pairs)
    return None, (
        f"Against quadrature at {len(LENGTHS) * len(ANGLES)} pairs of $R$ ({LENGTHS[0]} to {LENGTHS[-1]:g}) and "
        f"$\\theta$ ({ANGLES[0]} to {ANGLES[-1]}): largest difference {largest:.0e}."
    )


def gradients(model):
    """Loss, gradient in v and coarse gradient at random points beside the same on drawn samples."""
    points = binary_relu.random_starts(model, POINTS, key=4)
    derived = binary_relu.gradients(model, points)
    measured = binary_relu.sampled_gradients(model, points, SAMPLES, key=5)
    scores = {
        name: float(np.abs((getattr(derived, name) - getattr(measured, name)) / error).max())
        for name, error in measured.errors.items()
    }
    names = {"loss": "loss", "output": "gradient in $v$", "coarse": "coarse gradient in $w$"}
    table = ", ".join(f"{text} {scores[name]:.1f}" for name, text in names.items())
    count = measured.coarse.size + measured.output.size + measured.loss.size
    return None, (
        f"At {POINTS} random points against means over {SAMPLES:,} samples, largest $|z|$ of all components: {table} "
        f"({count} numbers in all)."
    )


def spurious(model):
    """The loss at the spurious minimum and the coarse gradient there, on samples."""
    point = next(point for point in binary_relu.fixed_points(model) if point.kind == "spurious minimum")
    at = binary_relu.starts(model, point.v, point.theta)
    measured = binary_relu.sampled_gradients(model, at, SAMPLES, key=6)
    loss, error = float(measured.loss[0]), float(measured.errors["loss"][0])
    along = at.filters(model)[0]
    shown, noise = float(measured.coarse[0] @ along), float(np.sqrt((measured.errors["coarse"][0] ** 2) @ along**2))
    return None, (
        f"At the spurious minimum of the example $f = {point.loss:.5f}$ and $|\\mathrm Eg| = "
        f"{point.coarse_gradient:.5f}$; {SAMPLES:,} samples give ${loss:.5f} \\pm {error:.5f}$ and, along $w$, "
        f"${shown:.5f} \\pm {noise:.5f}$."
    )


def flow(model):
    """The flow beside training on samples, and how the distances fall."""
    model = model.replace(step=STEP)
    starts = binary_relu.starts(model, [[1, 0.5, 1], [0.8, -0.2, 0.9], [-1, 1, -1.5]], [1.2, 2.2, 2.6], 3.0)
    steps = round(T_END / STEP)
    exact = binary_relu.solve(model, starts, T_END, points=41)
    runs = binary_relu.simulate(model, starts, steps, batch=BATCH, seeds=SEEDS, every=steps // 40)
    figure, axes = _axes(3, 3.2)
    names = {"theta": r"angle $\theta$", "length": "length $R$", "loss": "population loss $f$"}
    gaps = {}
    for ax, (name, label) in zip(axes, names.items(), strict=True):
        found = binary_relu.compare(exact, runs, name)
        gaps[name] = found.largest_deviation
        for index in range(len(starts)):
            style.axes(ax).plot(exact.times, getattr(exact, name)[index], **style.look(index))
            points = {
                "marker": style.MARKERS[index],
                "color": style.COLORS[index],
                "markersize": 4,
                "fillstyle": "none",
            }
            ax.plot(found.times[::3], found.runs[index, ::3], linestyle="", **points)
        ax.set(xlabel="steps times step size", ylabel=label)
    first = dataclasses.replace(starts, **{part: getattr(starts, part)[:2] for part in ("v", "length", "theta")})
    rates = binary_relu.convergence(model.replace(step=0.05), first, 4.0, key=7)
    return figure, (
        f"Lines are the flow from three starts, points the mean of {SEEDS} runs with batches of {BATCH} and steps of "
        f"{STEP}. Largest root mean square distance of a run: {gaps['theta']:.3f} in angle, {gaps['length']:.3f} in "
        f"length. From the first two starts at time 4, fitted powers: {rates.step_power:.2f} in the step (distance "
        f"of the descent on the population from the flow; 1 expected) and {rates.batch_power:.2f} in the batch "
        f"(distance of runs from the descent on the population; $-\\tfrac12$ expected)."
    )
