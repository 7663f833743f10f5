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
# # The derivation, step by step
#
# `derive` goes from the update rule to the fixed-point equation. Every equation is a SymPy object computed from the
# one before, with a reason. Change the quantizer and watch which equations change.

# %%
import sympy

from steode import (
    ClippedSurrogate,
    Constant,
    Elementwise,
    Identity,
    LinearModel,
    Sign,
    Uniform,
    derive,
    fixed_points,
    plot,
)
from steode.plot.panels import panels
from steode.symbolic import symbols as s

grid = Uniform(bits=2, range=2.0)
model = LinearModel(weight_quantizer=grid, input_quantizer=grid, teacher=Constant(1.0), learning_rate=0.1)
limit = derive(model)
print(limit.derivation)

# %% [markdown]
# ## From one step of SGD to one stochastic differential equation
#
# The starting point is the algorithm. The straight-through estimator enters as $s$, the derivative that the backward
# pass uses in place of that of $Q_w$.

# %%
limit.step("update")

# %% [markdown]
# One coordinate of the input is independent of all others. Stein's identity gives the mean of a step, and the
# residual's variance its size; both are of order $1/d$.

# %%
limit.step("one-step mean")

# %%
limit.step("one-step variance")

# %%
limit.step("stochastic differential equation")

# %% [markdown]
# The law of this process is the density equation, closed by the residual variance $V$, an average over that law.

# %%
limit.step("density equation")

# %%
limit.step("order parameters")

# %% [markdown]
# ## Averages keep their names
#
# $\alpha_1$ and $\alpha_2$ are named averages of the input map; `explicit` writes them out, in the range $\omega_x$.
# Here they are again from their definition, $\mathrm E[x\,Q_x(x)]$ and $\mathrm E[Q_x(x)^2]$, integrated cell by
# cell.

# %%
x, omega = sympy.Symbol("x", real=True), s.omega_x
normal = sympy.exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi)
ends = [-sympy.oo, *(omega * sympy.Rational(t) for t in grid.unit_thresholds), sympy.oo]
levels = [omega * sympy.Rational(level) for level in grid.unit_levels]
cells = list(zip(levels, ends[:-1], ends[1:], strict=True))
by_cells = {
    s.alpha_1: sum(sympy.integrate(x * level * normal, (x, low, high)) for level, low, high in cells),
    s.alpha_2: sum(sympy.integrate(level**2 * normal, (x, low, high)) for level, low, high in cells),
}
explicit = {symbol: limit.explicit(average) for symbol, average in limit.input_moments.items()}
differences = [sympy.simplify((explicit[symbol] - by_cells[symbol]).rewrite(sympy.erf)) for symbol in by_cells]
numbers = {str(symbol): float(limit.numeric(symbol)) for symbol in limit.input_moments}
print("closed form minus integral:", differences, "  at range 2:", numbers)

# %%
limit.step("input moments")

# %% [markdown]
# ## Edit the quantizer
#
# Five choices for the weights. All share the steps up to the density equation; after it the derivation follows what
# the map allows.

# %%
choices = {
    "two bits": model,
    "sign": model.replace(weight_quantizer=Sign(1.0)),
    "two bits, clipped surrogate": model.replace(surrogate=ClippedSurrogate(1.0)),
    "tanh": model.replace(weight_quantizer=Elementwise("tanh(x)")),
    "not quantized": model.replace(weight_quantizer=Identity()),
}
figure, axes = panels(1, 4, width=11.0, height=2.9, share="xy")
for ax, name in zip(axes, ("two bits", "sign", "tanh", "not quantized"), strict=True):
    plot.quantizer(choices[name].weight_quantizer, span=3.0, label=name, ax=ax)

# %%
limits = {name: derive(choice) for name, choice in choices.items()}
titles = {name: [step.title for step in found.derivation] for name, found in limits.items()}
common = [title for title in titles["two bits"] if all(title in other for other in titles.values())]
print("common to all:", ", ".join(common))
for name, found in titles.items():
    print(f"\n{name}:\n   ", ", ".join(title for title in found if title not in common))

# %% [markdown]
# Without a quantizer two moments close exactly. With a staircase nothing closes, but inside a cell the drift is
# constant, so that the stationary law is exponential there and the plateau has a length. A clipped surrogate freezes
# weights where it vanishes.

# %%
limits["not quantized"].step("exact moment equations")

# %%
limits["two bits"].step("stationary density")

# %%
limits["two bits"].step("plateau")

# %%
limits["two bits, clipped surrogate"].step("absorption at the clipping bound")

# %% [markdown]
# ## The floor
#
# As the learning rate vanishes, the error of quantized training does not.

# %%
limit.step("small-learning-rate floor")

# %%
alpha_1, alpha_2 = numbers["alpha_1"], numbers["alpha_2"]
target = alpha_1 / alpha_2
below, above = max(v for v in grid.levels if v <= target), min(v for v in grid.levels if v > target)
floor = (1 - alpha_1**2 / alpha_2 + alpha_2 * (target - below) * (above - target)) / 2
print(f"floor {floor:.6f}")
for rate in (0.2, 0.1, 0.05):
    print(f"eta = {rate:<5g} fixed point {fixed_points(model.replace(learning_rate=rate))[0].eps_g:.6f}")

# %% [markdown]
# The claims: the named averages equal their integrals exactly; every map shares the path from update to density
# equation; the mean drift vanishes at the target $a = \alpha_1 w^*/\alpha_2$ for every map; and the fixed point tends
# to the floor.

# %%
assert differences == [0, 0]
assert titles["two bits"][: len(common)] == common
assert common[-1] == "density equation"
for found in limits.values():
    at_target = found.drift.subs(s.Q, s.alpha_1 * s.wstar / s.alpha_2)
    assert sympy.simplify(at_target) == 0
assert abs(fixed_points(model.replace(learning_rate=0.05))[0].eps_g - floor) < 1e-4
