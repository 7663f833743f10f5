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
# # Plateau length against quantization range
#
# With a level at zero and weights that start near zero, the error first does not move at all; then it drops. How long
# does it wait, and what does the quantization range $\omega$ have to do with it?

# %%
import numpy as np
from scipy.stats import norm

from steode import (
    Constant,
    LinearModel,
    Normal,
    Uniform,
    compare,
    derive,
    plateau,
    plateau_estimate,
    plot,
    simulate_paired,
    solve,
)
from steode.plot.panels import panels

eta, wstar = 0.02, 1.0


def model(omega, std=0.1):
    """Three bits with a level at zero: seven levels between -omega and omega, a step of omega/3."""
    grid = Uniform(bits=3, range=omega, kind="mid-tread")
    return LinearModel(weight_quantizer=grid, teacher=Constant(wstar), init=Normal(std=std), learning_rate=eta)


ranges = np.array([2.0, 2.6, 3.2, 3.8, 4.4])

# %% [markdown]
# ## The analytic line
#
# Inside one cell of the quantizer $Q$ is constant, so the drift is too: a latent weight moves at a constant speed,
# and the forward pass sees none of it. The derivation gives the time to the threshold.

# %%
derive(model(2.0)).step("plateau")

# %% [markdown]
# From $w = 0$, where $L_j = 0$, to $T_j = \Delta/2$, with unquantized inputs ($\alpha_1 = 1$), it is $\Delta/(2 \eta
# |w^*|)$, and $\Delta = \omega/3$ here: a straight line in $\omega$.

# %%
steps = ranges / 3
line = steps / (2 * eta * abs(wstar))
estimates = [plateau_estimate(model(omega)) for omega in ranges]
print("range   ", ranges)
print("line    ", line.round(3))
print("estimate", np.array([estimate.length for estimate in estimates]).round(3))

# %% [markdown]
# ## The sweep
#
# The exact limit at each range, and SGD at $d = 400$: the same eight streams of samples for all five ranges
# (`simulate_paired`). The plateau's length is measured on both by one rule, from the beginning of the flat stretch to
# the middle of the drop that ends it.

# %%
times = np.linspace(0, 50, 201)
kept = [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 35.0]
theory = [
    solve(model(omega), 50, times=times, tolerance=1e-3, snapshot_times=[] if number else kept)
    for number, omega in enumerate(ranges)
]
runs = simulate_paired([model(omega) for omega in ranges], dim=400, t_end=50, times=times, seeds=8, snapshot_times=kept)
found = [plateau(trajectory) for trajectory in theory]
measured = [plateau(trajectory) for trajectory in runs]
print(found[2])
print(measured[2])

# %%
figure, (left, right) = panels(1, 2, width=10.0, height=3.7)
for color, place in enumerate((0, 2, 4)):
    label = rf"$\omega = {ranges[place]:g}$"
    plot.trajectory(theory[place], runs[place], label=label, color=color, ax=left)
    plot.plateaus(found[place], line[place], shade=False, color=color, ax=left)
lengths = np.array([plateaus.length for plateaus in found])
simulated = np.array([plateaus.length for plateaus in measured])
spread = np.array([plateaus.spread for plateaus in measured])
ax = plot.plateau_against_range(ranges, lengths, simulated, spread=spread, estimate=line, ax=right)

# %% [markdown]
# ## Where the drop comes from
#
# Nothing happens to the latent weights at the end of the plateau but this: their cloud crosses a threshold, here at
# $\omega = 2$ the one at $1/3$. Behind it the next level is closer to the target, the drift is a third of what it was,
# and the cloud is denser.

# %%
ax = plot.densities(theory[0], runs[0])

# %% [markdown]
# Each crossing moves one quantized weight from level $0$ to $\Delta$ and changes the error by a fixed amount, so the
# drop is the distribution function of a moving cloud. A Gaussian of mean $\eta w^* \tau$ and variance $s_0^2 + \eta^2
# V \tau$ with $V = w^{*2}$, the value on the plateau, has crossed to the fraction $\Phi\big((\eta w^* \tau -
# \Delta/2)/\sqrt{s_0^2 + \eta^2 V \tau}\big)$: no equation needs to be solved for this. (Beyond the middle of the
# drop $V$ has fallen, and with it the noise that widens the cloud.)

# %%
place = 0  # the narrowest range
cloud = norm.cdf((eta * times - steps[place] / 2) / np.sqrt(0.1**2 + eta**2 * times))
predicted = (1 - cloud) * wstar**2 / 2 + cloud * (steps[place] - wstar) ** 2 / 2
figure, (left, right) = panels(1, 2, width=10.0, height=3.4)
plot.trajectory(theory[place], runs[place], ax=left)
plot.plateaus(found[place], line[place], ax=left)
ax = plot.level_fractions(theory[place], runs[place], ax=right)
drop = times <= found[place].longest.end
gap = np.abs(predicted - theory[place]["eps_g"])[drop].max()
print(f"largest gap between the moving Gaussian and the limit up to the middle of the drop: {gap:.4f}")

# %% [markdown]
# ## How sharp it is
#
# The drop takes as long as the cloud takes to cross: its standard deviation at the threshold divided by its speed,
# `plateau_estimate(...).spread`. A start as wide as a cell, $\pm\Delta/2 = \pm 0.53$ here, leaves no plateau to speak
# of; the position of the drop hardly depends on the width.

# %%
stds = [0.02, 0.1, 0.5]
sharpness = [solve(model(3.2, std), 50, times=times, tolerance=1e-3) if std != 0.1 else theory[2] for std in stds]
ax = None
for color, (std, trajectory) in enumerate(zip(stds, sharpness, strict=True)):
    ax = plot.trajectory(trajectory, label=f"initial standard deviation {std:g}", color=color, ax=ax)
    longest, crossing = plateau(trajectory).length, plateau_estimate(model(3.2, std)).spread
    print(f"std {std:<5g} plateau {longest:6.2f}   cloud crosses within +-{crossing:.2f}")

# %% [markdown]
# The claims: the plateau of the limit follows the analytic line, the runs follow the limit, and the drop is the
# moving cloud.

# %%
scores = [compare(*pair).largest_z for pair in zip(theory, runs, strict=True)]
print("limit/line", (lengths / line).round(3))
print("runs/limit", (simulated / lengths).round(3))
print("largest |z| of runs against limit", np.round(scores, 2))
assert np.allclose(lengths, line, rtol=0.05)
assert np.allclose(simulated, lengths, rtol=0.03)
assert max(scores) < 4
assert gap < 0.02
