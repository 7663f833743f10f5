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
# # Your own weights
#
# The teacher need not follow a law with a name. Here its 640 weights are those of a ridge regression on handwritten
# digits, scaled to mean square 1 (`examples/make_digits_weights.py`). Replace the array by any of your own.

# %%
import pathlib

import numpy as np

from steode import Empirical, LinearModel, Normal, Uniform, compare, fixed_points, plot, simulate_paired, solve
from steode.plot.panels import panels

here = pathlib.Path.cwd()
root = next(folder for folder in (here, *here.parents) if (folder / "examples" / "digits_weights.npy").exists())
weights = np.load(root / "examples" / "digits_weights.npy")
print(f"{weights.size} weights, mean square {np.mean(weights**2):.3f}, largest {np.abs(weights).max():.2f}")


# %% [markdown]
# ## How many bits do these weights need?
#
# Weights of two and three bits with the range at 3, inputs of three bits; the fixed points also for four bits.
# `Empirical` is the law of the given numbers; a run of dimension 640 has exactly these weights.


# %%
def model(bits):
    return LinearModel(
        teacher=Empirical(weights),
        weight_quantizer=Uniform(bits=bits, range=3.0),
        input_quantizer=Uniform(bits=3, range=2.5),
        init=Normal(std=0.5),
        learning_rate=0.2,
        noise=0.1,
    )


widths = [2, 3]
times = [0.5, 15.0]
theory = [solve(model(bits), 15, tolerance=5e-3, snapshot_times=times) for bits in widths]
runs = simulate_paired([model(bits) for bits in widths], 640, 15, seeds=8, snapshot_times=times)
found = {f"{bits} bits": fixed_points(model(bits)) for bits in (2, 3, 4)}

# %%
figure, (left, right) = panels(1, 2, width=10.5, height=3.9)
for color, (bits, limit, run) in enumerate(zip(widths, theory, runs, strict=True)):
    plot.trajectory(limit, run, label=f"{bits} bits", color=color, ax=left)
ax = plot.decomposition(found, ax=right)

# %% [markdown]
# Two bits lose to dithering between levels that are two units apart; with four most of the error is that of the
# inputs. Weights beyond the range, a few of the largest, are clipped.

# %%
print(found["2 bits"])
print()
print(found["4 bits"])

# %% [markdown]
# ## Where the weights end up
#
# The law of the latent weights after half a unit of time and at the end, limit and simulation. Each weight waits at
# the threshold between the two levels around its target.

# %%
figure, axes = panels(1, 2, width=10.5, height=3.4)
for time, ax in zip(times, axes, strict=True):
    plot.density(theory[1], time, runs[1], ax=ax)

# %% [markdown]
# The claims: with weights of a real fit the runs follow the limit at both bit widths, and every bit lowers the floor.

# %%
scores = [compare(*pair).largest_z for pair in zip(theory, runs, strict=True)]
floors = [points[0].eps_g for points in found.values()]
print("largest |z|", np.round(scores, 2), "  floors", np.round(floors, 4))
assert max(scores) < 4
assert floors[0] > floors[1] > floors[2] > found["4 bits"][0].input_term
assert all(points.complete for points in found.values())
