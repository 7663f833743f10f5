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
# # Real formats
#
# Theories of quantized training know two noises: additive, of one variance for every number, as of an integer grid;
# and multiplicative, in proportion to the number, as of floating point. What do real formats do, and when is which
# model right?

# %%
import ml_dtypes
import numpy as np
import scipy.linalg

from steode import LinearModel, Normal, fixed_points
from steode.parts.format_error import format_error
from steode.parts.formats import FloatFormat, IntegerFormat, float4_e2m1fn, float8_e4m3fn
from steode.parts.stochastic import StochasticRounding
from steode.plot import style

# %% [markdown]
# ## A format is a set of numbers
#
# Fifteen of them for four bits: dense near zero, coarse outside, and the two smallest steps are equal (subnormal
# numbers).

# %%
print(float4_e2m1fn().levels)

# %% [markdown]
# Rounding to them is that of the type of the same name, ties to even included. What lies beyond the largest number
# saturates.

# %%
numbers = np.random.default_rng(0).normal(scale=100, size=100_000).clip(-448, 448).astype(np.float32)
same = float8_e4m3fn()(numbers) == numbers.astype(ml_dtypes.float8_e4m3fn).astype(float)
print(f"equal to ml_dtypes: {same.mean():.0%}; 1000 becomes {float8_e4m3fn()(1000.0):g}")

# %% [markdown]
# ## One number
#
# $x \sim N(0, s^2)$, rounded to the nearest level or stochastically, by which the error has mean zero for every $x$.
# `format_error` integrates the error exactly.

# %%
largest = 4.0
integers, floats = IntegerFormat(8, largest), float8_e4m3fn(largest)
stds = np.geomspace(1e-4, 2, 80)
ax = style.axes(None)
for number, (name, grid) in enumerate({"INT8": integers, "FP8 e4m3": floats}.items()):
    color = style.COLORS[number]
    ax.plot(stds, format_error(StochasticRounding(grid), stds).relative, color=color, label=f"{name}, stochastic")
    ax.plot(stds, format_error(grid, stds).relative, "--", color=color, label=f"{name}, nearest")
ax.plot(stds, integers.step**2 / 6 / stds**2, ":", color=style.GRAY, label=r"additive, $\Delta^2/6$")
ax.plot(stds, 0 * stds + 4.0**-3 / (16 * np.log(2)), "-.", color=style.GRAY, label="multiplicative")
ax.set(xscale="log", yscale="log", xlabel="standard deviation $s$, range 4", ylabel="error over $s^2$")
ax.set(ylim=(5e-5, 1e3))
style.legend(ax)

# %% [markdown]
# Floating point is multiplicative over three decades, down to its subnormal numbers. The constant is
# $4^{-m}/(16 \ln 2) = 0.0902 \cdot 4^{-m}$ for $m$ mantissa bits, by stochastic rounding, when averaged over $s$; by
# less than one percent more or less at any one $s$.

# %%
octave = 2 ** np.linspace(0, 1, 64, endpoint=False)
for bits in (2, 4, 6):
    constants = 4**bits * format_error(StochasticRounding(FloatFormat(8, bits)), octave).relative
    print(f"m = {bits}: {constants.min():.4f} to {constants.max():.4f}, mean {constants.mean():.4f}")

# %% [markdown]
# An integer grid is additive only where $s$ is not far below its step $\Delta$. Below, a number is either 0 or, rarely,
# one step: the error is $\Delta s \sqrt{2/\pi}$ instead of $\Delta^2/6$. (By nearest rounding it is $s^2$: nothing is
# left of the number.)

# %%
small = integers.step / 100
rare = format_error(StochasticRounding(integers), small).absolute / (integers.step * small * np.sqrt(2 / np.pi))
print(f"error over Delta s sqrt(2/pi) at s = Delta/100: {rare:.3f}")

# %% [markdown]
# ## Vectors
#
# Data have a spectrum. Quantized in its own axes, floating point keeps the spectrum's shape. After a rotation that
# gives every coordinate the same variance its error has the same variance in every direction: floating point has
# become additive noise. Errors of different coordinates are uncorrelated, as each has mean zero given the vector.

# %%
dim, draws = 128, 20_000
spectrum = np.arange(1, dim + 1) ** -2.0
generator = np.random.default_rng(1)
turn = scipy.linalg.hadamard(dim) / np.sqrt(dim) * generator.choice([-1.0, 1.0], dim)
vectors = np.sqrt(spectrum) * generator.standard_normal((draws, dim))


def errors(make, rotation):
    """Variance of the error in each direction of the spectrum: exact, measured, and in standard errors."""
    deviations = np.sqrt(rotation**2 @ spectrum)
    rounding = StochasticRounding(make(6 * deviations.max()))
    exact = rotation.T**2 @ format_error(rounding, deviations).absolute
    turned = vectors @ rotation.T
    squares = ((rounding.sample(turned, generator) - turned) @ rotation) ** 2
    mean = squares.mean(axis=0)
    return exact, mean, (mean - exact) / (squares.std(axis=0, ddof=1) / np.sqrt(draws))


makers = {"INT8": lambda reach: IntegerFormat(8, reach), "FP8 e4m3": float8_e4m3fn}
aligned = {name: errors(make, np.eye(dim)) for name, make in makers.items()}
rotated = {name: errors(make, turn) for name, make in makers.items()}

# %%
direction = np.arange(1, dim + 1)
chosen = np.unique(np.geomspace(1, dim, 14).astype(int)) - 1
for results, title in ((aligned, "axis-aligned"), (rotated, "rotated")):
    ax = style.axes(None)
    ax.plot(direction, spectrum, color="black", linewidth=1, linestyle="-.", label="spectrum")
    for number, (name, (exact, measured, _)) in enumerate(results.items()):
        ax.plot(direction, exact, color=style.COLORS[number], label=name)
        ax.plot(direction[chosen], measured[chosen], style.MARKERS[number], color=style.COLORS[number])
    ax.set(xscale="log", yscale="log", ylim=(1e-8, 2), xlabel="direction of the spectrum", title=title)
    ax.set_ylabel("variance of the error")
    style.legend(ax)

# %% [markdown]
# The rotation helps integers, whose step now fits all coordinates, and hurts floating point in the weak directions. In
# total, error over variance:

# %%
totals = {
    title: {name: float(exact.sum() / spectrum.sum()) for name, (exact, _, _) in results.items()}
    for title, results in (("axis-aligned", aligned), ("rotated", rotated))
}
for title, values in totals.items():
    print(f"{title:>12}", *(f"  {name} {value:.5f}" for name, value in values.items()))

# %% [markdown]
# ## Formats and the straight-through estimator
#
# Weights on a grid flip between the two levels around their target. At small learning rates a weight is at each of them
# as often as stochastic rounding of the target would put it there. So the floor of training is half the error of
# rounding the teacher *stochastically*, about twice the error of rounding it to the nearest level.

# %%
floors = {}
for grid in (float4_e2m1fn(2.5), IntegerFormat(4, 2.5)):
    model = LinearModel(teacher=Normal(std=1.0), weight_quantizer=grid, learning_rate=1e-3)
    trained = fixed_points(model)[0].eps_g
    floors[grid] = trained, format_error(StochasticRounding(grid), 1.0).absolute / 2
    print(f"{grid}\n  trained {trained:.6f}   rounded stochastically {floors[grid][1]:.6f}")

# %% [markdown]
# The claims: rounding is that of the library, the two constants, runs agree with the exact errors, rotated floating
# point is flat, and the floor is that of stochastic rounding.

# %%
scores = np.concatenate([result[2] for results in (aligned, rotated) for result in results.values()])
assert same.all()
assert np.isclose(constants.mean(), 1 / (16 * np.log(2)), rtol=1e-3)
assert abs(rare - 1) < 0.02
assert np.abs(scores).max() < 4.5
assert np.ptp(rotated["FP8 e4m3"][0]) < 1e-12 < np.ptp(aligned["FP8 e4m3"][0])
assert totals["rotated"]["INT8"] < totals["rotated"]["FP8 e4m3"] < totals["axis-aligned"]["INT8"]
assert all(np.isclose(trained, rounded, rtol=0.01) for trained, rounded in floors.values())
