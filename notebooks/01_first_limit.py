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
# # A first limit
#
# A linear student with two-bit weights and two-bit inputs learns a linear teacher by online SGD; the gradient passes
# the rounding of the weights unchanged (straight-through estimator). In high dimension $d$ its error becomes a
# deterministic function of the rescaled time $\tau$, SGD steps divided by $d$. Four verbs take a specification there:
# `derive`, `solve`, `simulate`, `compare`.

# %%
import numpy as np

from steode import Constant, LinearModel, Normal, Uniform, compare, derive, fixed_points, plot, simulate, solve
from steode.plot.panels import panels, share_legend

two_bits = Uniform(bits=2, range=2.0)
model = LinearModel(
    weight_quantizer=two_bits,
    input_quantizer=two_bits,
    teacher=Constant(1.0),
    init=Normal(std=1.0),
    learning_rate=0.1,
)

# %% [markdown]
# ## The equation
#
# `derive` computes the limit in SymPy and keeps every step with its reason. The law $\mu_\tau(w \mid w^*)$ of one
# latent weight given its teacher weight obeys a Fokker-Planck equation, coupled to all other weights through $V$
# alone.

# %%
limit = derive(model)
limit.step("density equation")

# %%
limit.step("order parameters")

# %% [markdown]
# ## Its solution, and the algorithm
#
# `solve` integrates the density equation to a stated tolerance. `simulate` runs the training algorithm itself; it
# shares with the theory only the levels and thresholds of the quantizers.

# %%
times = [1.0, 10.0, 50.0]
theory = solve(model, t_end=50, snapshot_times=times)
runs = simulate(model, dim=500, t_end=50, seeds=16, snapshot_times=times)
print(theory)
print(runs)

# %%
found = fixed_points(model)
ax = plot.trajectory(theory, runs)
ax = plot.fixed_points(found, ax=ax)

# %% [markdown]
# The error falls, dips, and rises again to a floor that no amount of data removes. The law of the weights says why.
# They reach the threshold at $4/3$, the boundary between the levels $2/3$ and $2$ around their target $a = \alpha_1
# w^*/\alpha_2$, pile up there, and flip between the two levels forever.

# %%
figure, axes = panels(1, 3, width=9.5, height=3.0)
for time, ax in zip(times, axes, strict=True):
    plot.density(theory, time, runs, ax=ax)
figure = share_legend(figure)

# %% [markdown]
# ## How well they agree
#
# `compare` divides the gap by its standard error over seeds and translates Student's tail probabilities into Gaussian
# ones: $|z| < 4$ means the same for 16 seeds as for 1000.

# %%
comparison = compare(theory, runs)
print(comparison)

# %%
ax = plot.gaps(comparison)

# %% [markdown]
# The claims of this page: runs agree with the limit at every time, the limit agrees with values computed
# independently of steode, and after the dip it rises toward the fixed point.

# %%
published = {1.0: 0.91294, 5.0: 0.45544, 10.0: 0.18450, 25.0: 0.12758, 50.0: 0.17121}
computed = np.interp(list(published), theory.times, theory["eps_g"])
assert comparison.largest_z < 4
assert np.allclose(computed, list(published.values()), rtol=0, atol=2e-4)
assert theory["eps_g"].min() < theory["eps_g"][-1] < found[0].eps_g
