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
# # Your own layer
#
# Two arrays, the weights of a trained layer and a sample of its inputs, are enough to say what rounding does to it,
# what quantization-aware training does, and which range to take. Here the inputs are a correlated sequence with heavy
# tails; put your own arrays in the place of the next cell's.

# %%
import warnings

import numpy as np

from steode import Schedule, fixed_points, layer, simulate, solve
from steode.plot import style

warnings.simplefilter("ignore", layer.LayerWarning)  # what they say is printed with the results
rng = np.random.default_rng(0)
dim = 128
inputs = rng.standard_t(5, size=(4000, dim))
for column in range(1, dim):
    inputs[:, column] = 0.8 * inputs[:, column - 1] + 0.6 * inputs[:, column]
weights = rng.normal(size=(8, dim)).clip(-2, 2)

# %% [markdown]
# ## From arrays to a model
#
# `LayerModel` takes $y = Wx/\sqrt d$; a layer trained as $y = Wx$ with a usual mean square goes through
# `layer.from_training_units`. The range of each row minimizes its own rounding error.

# %%
model = layer.LayerModel(weights, activations=inputs, bits=3, range="mean square", learning_rate=0.1)
once, late = layer.rounding(model), fixed_points(model)
print(once)
print()
print(late)

# %% [markdown]
# Training ends at about the error of *stochastic* rounding: weights between two levels go on jumping. Compensation
# (GPTQ), which uses the correlations, is far better than both.
#
# ## Training it
#
# From the trained weights, on the inputs themselves, which are not Gaussian, and on Gaussian ones of the same second
# moment, which is all that the theory knows of them.

# %%
end = 100
times = np.append(0, np.unique(np.geomspace(1, end * dim, 60).round()) / dim)
runs = {data: simulate(model, end, data=data, seeds=2, times=times) for data in ("epochs", "gaussian")}
path = solve(model, end, times=times)
ax = style.axes(None)
for number, (data, label) in enumerate({"epochs": "on the inputs", "gaussian": "on Gaussian inputs"}.items()):
    ax.plot(times[1:], runs[data]["V"].mean(axis=(0, 2))[1:], color=style.COLORS[number], label=f"runs {label}")
ax.plot(times[1:], path.V.mean(axis=1)[1:], "--", color=style.COLORS[2], label="Gaussian closure (approximate)")
for label, value, line in (("fixed point", late.V, "-."), ("nearest", once.V["nearest"], ":")):
    ax.axhline(value.mean(), color=style.GRAY, linestyle=line, label=label)
ax.set(xscale="log", yscale="log", xlabel=style.TIME, ylabel=r"residual variance $V$, mean of rows")
style.legend(ax, loc="lower left")

# %% [markdown]
# First the weights that are free to move make up for those that are rounded; later they all reach thresholds, and the
# gain is given back.
#
# ## Which range
#
# The best range depends on what is done with it. Training shares the error of clipped weights among the others, and
# likes narrow ranges.

# %%
scan = layer.optimal_range(model)
print(scan)
ax = style.axes(None)
for number, name in enumerate(("nearest", "gptq", "training")):
    ax.plot(scan.factors, scan.V[name].mean(axis=1), style.MARKERS[number], color=style.COLORS[number], label=name)
ax.set(yscale="log", xlabel="range in parts of the largest weight", ylabel=r"residual variance $V$, mean of rows")
style.legend(ax)

# %% [markdown]
# ## For a number of steps
#
# `layer.advise` trains some rows for the length you have, plain and with what ends the jumping, and says what each
# sentence rests on. `steode run my_layer.toml` writes the same as a page.

# %%
advice = layer.advise(model, steps=6000, rows=4)
print(advice)

# %% [markdown]
# What it recommends, in the training itself: a pull to the levels that grows from zero, on all rows.

# %%
dampened = simulate(model, end, times=(end,), remedy=layer.Dampening(Schedule(f"3*tau/{end}")))
print(f"dampened {dampened['V'].sum():.4f}, nearest {once.total['nearest']:.4f}, GPTQ {once.total['gptq']:.4f}")

# %% [markdown]
# The claims: training ends where the fixed points say, within a fifth (there are few effective inputs) for Gaussian
# inputs and for these; that is worse than rounding to nearest; on the way it is better; the range for training is the
# narrower one; dampening beats both.

# %%
total = {data: run["V"].sum(axis=2).mean(axis=0) for data, run in runs.items()}
tail = {data: values[times >= end / 2].mean() for data, values in total.items()}
print({data: f"{value / late.total - 1:+.1%}" for data, value in tail.items()})
assert all(abs(value / late.total - 1) < 0.2 for value in tail.values())
assert late.total > 1.2 * once.total["nearest"]
assert all(values.min() < 0.8 * once.total["nearest"] for values in total.values())
assert np.median(scan.factor("training")) < np.median(scan.factor("nearest"))
assert dampened["V"].sum() < 0.6 * once.total["nearest"]
assert min(advice.errors, key=lambda name: advice.errors[name][0]) in ("dampened", "frozen", "gptq")
