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
# # Fixed points and deviation
#
# Training with the straight-through estimator does not end where unquantized training ends. How far away does it end,
# what is the distance made of, and what can be done about it?

# %%
import numpy as np
from scipy.integrate import quad
from scipy.stats import norm

from steode import LinearModel, Normal, Uniform, deployments, derive, fixed_points, plot, simulate_paired, sweep


def model(bits=3, omega=2.5, eta=0.2):
    grid, inputs = Uniform(bits=bits, range=omega), Uniform(bits=4, range=2.5)
    return LinearModel(
        weight_quantizer=grid, input_quantizer=inputs, teacher=Normal(std=1.0), learning_rate=eta, noise=0.3
    )


# %% [markdown]
# ## One equation
#
# In the stationary state each latent weight waits around the threshold next to its target $a = \alpha_1
# w^*/\alpha_2$, and all that couples the weights is $V$. What remains is one equation for one number.

# %%
derive(model()).step("fixed-point equation")

# %%
found = fixed_points(model())
print(found)

# %% [markdown]
# ## What the error is made of
#
# Quantized inputs cost what no weight can repair. A target beyond the range is clipped. All else is dithering: a
# weight whose target is not a level flips between its two neighbors, however long one trains.

# %%
by_bits = {f"{bits} bits": fixed_points(model(bits)) for bits in (2, 3, 4)}
ax = plot.decomposition(by_bits)

# %% [markdown]
# ## The floor
#
# A smaller learning rate removes the error of unquantized training. With quantized weights it stops helping at a
# floor:

# %%
limit = derive(model())
limit.step("small-learning-rate floor")

# %% [markdown]
# Here it is, integrated over the teacher directly, with the square of the distance to the last level beyond the
# range.

# %%
alpha_1, alpha_2 = (float(limit.numeric(symbol)) for symbol in limit.input_moments)
levels = model().weight_quantizer.levels


def excess(wstar):
    """Variance of a weight that flips between the levels around its target; beyond the range, its squared distance."""
    target = alpha_1 * wstar / alpha_2
    if abs(target) >= levels[-1]:
        return (abs(target) - levels[-1]) ** 2
    above = np.searchsorted(levels, target, side="right")
    return (target - levels[above - 1]) * (levels[above] - target)


panels_of_law = [-12.0, *(levels * alpha_2 / alpha_1), 12.0]
average = sum(
    quad(lambda wstar: excess(wstar) * norm.pdf(wstar), low, high)[0]
    for low, high in zip(panels_of_law[:-1], panels_of_law[1:], strict=True)
)
floor = (1 - alpha_1**2 / alpha_2 + alpha_2 * average) / 2
smallest = fixed_points(model(eta=1e-3))[0].eps_g
print(f"floor {floor:.7f}   fixed point at eta = 0.001 {smallest:.7f}")

# %% [markdown]
# Simulations confirm it: the error averaged over $40 \le \tau \le 80$ at three learning rates, on one stream of
# samples.

# %%
rates = np.geomspace(0.02, 1.6, 24)
curves = {
    "quantized": sweep(model(), {"learning_rate": rates}, progress=False),
    "no quantizers": sweep(
        LinearModel(teacher=Normal(std=1.0), learning_rate=0.2, noise=0.3), {"learning_rate": rates}, progress=False
    ),
}
tried = np.array([0.2, 0.5, 1.2])
times = np.arange(0.0, 81.0)
runs = simulate_paired([model(eta=rate) for rate in tried], 400, 80, times=times, seeds=8)
late = np.stack([run["eps_g"][:, times >= 40].mean(axis=1) for run in runs])
mean, standard_error = late.mean(axis=1), late.std(axis=1, ddof=1) / np.sqrt(late.shape[1])
expected = np.array([fixed_points(model(eta=rate))[0].eps_g for rate in tried])
scores = (mean - expected) / standard_error
for row in zip(tried, expected, mean, standard_error, strict=True):
    print("eta {:4.2f}   limit {:.5f}   simulation {:.5f} +- {:.5f}".format(*row))

# %%
points = {"quantized": (tried, mean, standard_error)}
ax = plot.profiles(curves, "learning_rate", "eps_g", points, bounds={"quantized": floor}, bound="floor")

# %% [markdown]
# ## What to deploy
#
# Dithering is an error of the last iterate. The latent weights averaged over time and rounded once, or the quantized
# weights averaged, do better.

# %%
deployed = deployments(model())
print(deployed)

# %% [markdown]
# ## The phase diagram
#
# The deviation, error minus that of the model without quantizers, over range and learning rate. A narrow range clips,
# a wide one makes the steps coarse. At large learning rates the deviation turns negative: without quantizers the
# error grows without bound toward $\eta = 2$.

# %%
axes = {"weight_quantizer.range": np.linspace(0.6, 4.0, 18), "learning_rate": np.linspace(0.1, 1.9, 19)}
diagram = sweep(model(), axes, progress=False)
ax = plot.phase_diagram(diagram, "weight_quantizer.range", "learning_rate", "deviation")

# %% [markdown]
# The claims: the terms sum to the error, the fixed point tends to the floor, runs end at the fixed point, the last
# iterate is worse than the rounded average, and the sign of the deviation changes once along the learning rate.

# %%
point = found[0]
terms = point.input_term + point.dithering_term + point.clipping_term + point.decay_term
least = diagram["deviation"].min("range")
print("learning rates at which quantized training ends lower:", least["learning_rate"].values[least < 0].round(2))
assert found.complete
assert np.isclose(terms, point.eps_g, rtol=1e-9)
assert abs(smallest - floor) < 1e-5
assert np.all(np.abs(scores) < 4.5)
assert deployed.averaged_iterates < deployed.rounded_average < deployed.last_iterate
assert least[0] > 0 > least[-1]
assert np.sum(np.diff(np.sign(least)) != 0) == 1
