# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Optimizers, learned ranges, schedules
#
# Plain SGD on a fixed grid ends on a floor: weights between two levels flip back and forth. Which of the usual remedies
# moves the floor, and which only the time it takes to get there? One model, a few variations.

# %%
import numpy as np

from steode import (
    Adam,
    FollowingRange,
    LearnedRange,
    LinearModel,
    Normal,
    Schedule,
    SignSGD,
    TwoPoint,
    Uniform,
    fixed_points,
    plot,
    simulate,
    solve,
)

grid = Uniform(bits=2, range=2.0)
model = LinearModel(teacher=TwoPoint(1.0), weight_quantizer=grid, init=Normal(std=1.0), noise=0.1, learning_rate=0.1)

# %% [markdown]
# ## The optimizer does not move the floor
#
# At small learning rates every update rule ends at the same error: what is left is the flipping between the two levels
# around each target, $\mathrm E[(a - L)(L' - a)]/2$, which contains no learning rate.

# %%
floors = {}
for name, rule in {"SGD": model.update_rule, "sign": SignSGD(), "Adam": Adam()}.items():
    floors[name] = fixed_points(model.replace(update_rule=rule, learning_rate=1e-4))[0].eps_g
print(floors)

# %% [markdown]
# ## Dampening
#
# A pull toward the quantized value, $\zeta (w - Q)$, holds a weight in its cell. Here the targets $\pm 1$ lie between
# two levels, and what it saves in dithering it costs in bias.

# %%
for strength in (0.0, 0.2, 0.5):
    point = fixed_points(model.replace(dampening=strength))[0]
    print(f"{strength:.1f}  eps_g {point.eps_g:.4f}  dithering {point.dithering_term:.4f}  bias {point.decay_term:.4f}")

# %% [markdown]
# ## A range that is learned, and one that follows the weights
#
# LSQ's gradient moves the range together with the weights; the limit has one more number in it, and so has a run.

# %%
times = np.linspace(0, 20, 41)
curves = {
    "fixed": model,
    "learned": model.replace(range_rule=LearnedRange.of_step(0.1, grid)),
    "follows mean |w|": model.replace(range_rule=FollowingRange(factor=2.0)),
}
limits = {name: solve(each, 20.0, times=times, tolerance=1e-3) for name, each in curves.items()}
runs = simulate(curves["learned"], 400, 20.0, seeds=4, times=times[::4], progress=False)
ax = plot.trajectory(limits["learned"], runs)

# %%
for name, limit in limits.items():
    width = limit["range"][-1] if "range" in limit.observables else grid.range
    print(f"{name:18s} range {width:.3f}  eps_g {limit['eps_g'][-1]:.4f}")

# %% [markdown]
# ## A schedule
#
# Decaying the learning rate slows the flips but does not end them: the floor is the same. Stronger and stronger
# dampening does end them, each weight at the level it happens to be at.

# %%
decayed = model.replace(learning_rate=Schedule("0.2/(1 + tau/4)"))
damped = model.replace(dampening=Schedule("0.05 * tau"))
ends = {
    name: solve(each, 20.0, times=[20.0], tolerance=1e-3)["eps_g"][-1]
    for name, each in {"decayed rate": decayed, "growing dampening": damped}.items()
}
print(ends)

# %%
assert np.ptp(list(floors.values())) < 1e-3 * max(floors.values())
gap = runs["range"].mean(axis=0) - limits["learned"]["range"][::4]
assert np.all(np.abs(gap) < 4 * runs["range"].std(axis=0) / 2 + 0.02)
