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
# # Large learning rates
#
# Unquantized online SGD diverges beyond a learning rate of 2. With quantized weights the residual cannot grow: the
# forward pass only sees levels. What is the price?

# %%
import numpy as np

from steode import (
    DivergenceError,
    LinearModel,
    TwoPoint,
    Uniform,
    fixed_points,
    plot,
    simulate,
    simulate_paired,
    stability,
    sweep,
)
from steode.plot.panels import panels

grid = Uniform(bits=2, range=2.0)
plain = LinearModel(teacher=TwoPoint(1.0), learning_rate=0.1, noise=0.3)
variants = {
    "no quantizers": plain,
    "inputs quantized": plain.replace(input_quantizer=grid),
    "weights quantized": plain.replace(weight_quantizer=grid),
    "both quantized": plain.replace(weight_quantizer=grid, input_quantizer=grid),
}

# %% [markdown]
# ## Where the limit ends up
#
# The fixed point at every learning rate, and the largest one at which there is a fixed point: $2$ without quantizers,
# $2/\alpha_2$ with quantized inputs ($\alpha_2 = \mathrm E\,Q_x(x)^2$), none with quantized weights. There the error
# has a bound for all learning rates, reached when weights flip between the two outermost levels.

# %%
rates = np.round(np.concatenate([np.arange(0.05, 1.8, 0.05), np.arange(1.8, 2.0, 0.01), np.arange(2.0, 4.01, 0.1)]), 2)
curves = {name: sweep(model, {"learning_rate": rates}, progress=False) for name, model in variants.items()}
largest = {name: stability(fixed_points(model)[0]).largest_learning_rate for name, model in variants.items()}
bounds = {name: fixed_points(variants[name].replace(learning_rate=1e6))[0].eps_g for name in list(variants)[2:]}
print("largest learning rate:", {name: round(value, 3) for name, value in largest.items()})
print("bound of the error:   ", {name: round(value, 3) for name, value in bounds.items()})

# %% [markdown]
# ## What training does
#
# Six learning rates on one stream of samples: the same teacher, inputs and label noise for all of them.

# %%
tried = np.array([0.25, 0.75, 1.5, 2.0, 2.5, 3.5])
quantized = variants["weights quantized"]
times = np.arange(0.0, 60.5, 0.5)
runs = simulate_paired([quantized.replace(learning_rate=rate) for rate in tried], 400, 60, times=times, seeds=8)

try:
    simulate(plain.replace(learning_rate=2.5), 400, 400, times=np.arange(1.0, 401.0))
    diverged_at = np.inf
except DivergenceError as error:
    diverged_at = error.tau
    print(error)

# %% [markdown]
# The late error of each run, averaged over $20 \le \tau \le 60$, against its fixed point:

# %%
late = np.stack([run["eps_g"][:, times >= 20].mean(axis=1) for run in runs])
mean, standard_error = late.mean(axis=1), late.std(axis=1, ddof=1) / np.sqrt(late.shape[1])
expected = np.array([fixed_points(quantized.replace(learning_rate=rate))[0].eps_g for rate in tried])
for row in zip(tried, expected, mean, standard_error, strict=True):
    print("eta {:4.2f}   limit {:.4f}   simulation {:.4f} +- {:.4f}".format(*row))

# %%
figure, (left, right) = panels(1, 2, width=10.5, height=3.9)
for color, place in enumerate((0, 2, 4)):
    plot.trajectory(None, runs[place], label=rf"$\eta = {tried[place]:g}$", color=color, ax=left)
    plot.fixed_points(
        fixed_points(quantized.replace(learning_rate=tried[place])),
        label=rf"fixed point, $\eta = {tried[place]:g}$",
        color=color,
        ax=left,
    )
points = {"weights quantized": (tried, mean, standard_error)}
ax = plot.profiles(curves, "learning_rate", "eps_g", points, limits=largest, bounds=bounds, ax=right)

# %% [markdown]
# At small learning rate quantized weights are worse: they flip between two levels around their target. Toward $\eta =
# 2$ the unquantized error grows without bound and the quantized one does not notice.
#
# The claims: unquantized training diverges at $\eta = 2.5$; quantized training does not, stays below its bound, and
# ends at its fixed point.

# %%
scores = (mean - expected) / standard_error
print("largest |z|:", np.abs(scores).max().round(2))
assert np.isfinite(diverged_at)
assert np.isclose(largest["no quantizers"], 2.0)
assert largest["weights quantized"] == largest["both quantized"] == np.inf
assert np.all(late < bounds["weights quantized"])
assert np.all(np.abs(scores) < 4.5)
