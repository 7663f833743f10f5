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
# # Committee machines
#
# With one unit there is nothing to decide. With two, each has to become one of the teacher's: training first comes to
# a plateau on which both are alike, and leaves it by whatever asymmetry there was at the start. What do quantized
# weights do to that?

# %%
import numpy as np

from steode import Identity, Normal, Uniform, committee, compare, derive, fixed_points, simulate, solve
from steode.plot import style

model = committee.CommitteeModel(
    hidden=2,
    teacher_hidden=2,
    activation="erf",
    learning_rate=0.5,
    noise=0.1,
    init=Normal(std=0.5),
    alignment=0.2,  # a fifth of the unit's own teacher weights is in the start
)

# %% [markdown]
# ## The argument
#
# A coordinate carries a vector of weights. What it feels are averages over pairs and fours of units, which for erf
# units SymPy finds in closed form; without quantization the overlaps obey closed equations.

# %%
derivation = derive(model).derivation
print(derivation)
derivation.step("averages of pairs")

# %% [markdown]
# ## Two states of rest
#
# Unspecialized states are unstable: an asymmetry grows at the rate printed. The exact equations have both kinds.

# %%
found = fixed_points(model)
print(found)
special, plateau, *others = found
print(f"from an asymmetry of 0.01 to 0.1 it takes about tau = {plateau.escape_time(0.01):.0f}")

# %% [markdown]
# ## Quantized weights
#
# Nothing closes any more: the limit is computed by particles, which estimate their own error, beside runs of the
# algorithm itself in dimension 500.

# %%
times = np.linspace(0, 60, 61)
cases = {"not quantized": Identity(), "4 bits": Uniform(bits=4, range=2.0), "2 bits": Uniform(bits=2, range=2.0)}
limits, runs = {}, {}
for name, quantizer in cases.items():
    case = model.replace(weight_quantizer=quantizer)
    options = {} if name == "not quantized" else {"count": 2500, "tolerance": 0.1}
    limits[name] = solve(case, 60.0, times=times, **options)
    runs[name] = simulate(case, 500, 60.0, seeds=4, times=times)
    print(f"{name}: {compare(limits[name], runs[name]).largest_z:.1f} standard errors at most")

# %%
ax = style.axes(None)
for number, name in enumerate(cases):
    look = style.look(number)
    ax.plot(times, limits[name]["specialization"], label=name, **look)
    ax.plot(times[::3], runs[name].mean("specialization")[::3], ".", color=look["color"])
ax.set(xlabel=style.TIME, ylabel="specialization")
style.legend(ax)

# %% [markdown]
# Dots are runs. Four bits leave the plateau as weights that are not quantized do, two bits later; what is left of the
# error afterwards is their dithering.

# %%
ax = style.axes(None)
for number, name in enumerate(cases):
    look = style.look(number)
    ax.plot(times, limits[name]["eps_g"], label=name, **look)
    ax.plot(times[::3], runs[name].mean("eps_g")[::3], ".", color=look["color"])
ax.set(yscale="log", xlabel=style.TIME, ylabel=style.SYMBOLS["eps_g"])
style.legend(ax)

# %% [markdown]
# The claims of this page.

# %%
ends = [limits[name]["specialization"][-1] for name in cases]
assert special.stable
assert special.specialization > 0.95
assert plateau.growth > 0.02
assert plateau.specialization < 1e-6
assert abs(ends[0] - ends[1]) < 0.06
assert ends[2] < min(ends[:2]) - 0.03
assert limits["2 bits"]["eps_g"][-1] > limits["4 bits"]["eps_g"][-1] > limits["not quantized"]["eps_g"][-1]
assert all(compare(limits[name], runs[name]).largest_z < 4.5 for name in cases)
