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
# # Zeroth-order corrections
#
# FOGZO measures the slope of the loss along a direction that leans on the straight-through gradient, but for a share
# $c/d$ which is random. What does it do on the linear system, and is it worth its passes?

# %%
import jax.numpy as jnp
import numpy as np

from steode import FOGZO, STE, Constant, LinearModel, Normal, Schedule, Uniform, derive, fixed_points, simulate, solve
from steode.plot import style, trajectory
from steode.plot.panels import panels

END = 5.0


def model(c=2.0, rate=0.3, std=1.0):
    return LinearModel(
        weight_quantizer=Uniform(bits=2, range=2.0),
        teacher=Normal(std=1.0),
        init=Normal(std=std),
        noise=0.1,
        learning_rate=rate,
        update_rule=FOGZO(c=c, eps=0.3),
    )


# %% [markdown]
# ## What a perturbation sees
#
# Its entries are of order $d^{-1/2}$: only weights that near to a threshold flip.

# %%
derivation = derive(model()).derivation
derivation.step("flips at a threshold")

# %% [markdown]
# Many flips make a number, the mean slope $p_\tau$ of the quantizer, and everything else is the STE.

# %%
derivation.step("effective learning rate")

# %% [markdown]
# ## Frozen starts
#
# No weight near a threshold: nothing moves, neither in the limit nor in a run, however long.

# %%
frozen = model().replace(init=Constant(0.6))
runs = simulate(frozen, 1000, END, seeds=2, times=[0.0, END])
print("limit:", solve(frozen, END, times=[0.0, END], tolerance=1e-3)["eps_g"])
print("runs: ", runs["eps_g"].tolist())

# %% [markdown]
# ## A learning rate that sets itself
#
# The error, and $p$, from a broad start and from one on the threshold at zero. $c = 0$: no random part.

# %%
times = END * np.linspace(0, 1, 201) ** 2  # p changes fast at first
figure, axes = panels(1, 2, width=10.5, height=3.8)
curves = {}
for ax in axes:
    style.axes(ax)
for color, std in enumerate((1.0, 0.1)):
    rules = {"FOGZO": model(c=0.0, std=std), "STE": model(std=std).replace(update_rule=STE())}
    for line, (name, spec) in zip(style.LINES, rules.items(), strict=False):
        curve = curves[name, std] = solve(spec, END, times=times, tolerance=1e-3)
        look = {"color": style.COLORS[color], "linestyle": line}
        axes[0].plot(times, curve["eps_g"], label=f"{name}, initial std {std:g}", **look)
    axes[1].plot(times, curves["FOGZO", std]["mean_slope"], color=style.COLORS[color])
axes[0].set(xlabel=style.TIME, ylabel=style.SYMBOLS["eps_g"], ylim=(0, None))
axes[1].set(xlabel=style.TIME, ylabel="mean slope $p$", ylim=(0, None))
style.legend(axes[0])

# %% [markdown]
# The equivalence, by numbers: the STE under the schedule $\eta p(\tau)$ is FOGZO with $c = 0$.

# %%
gaps = {}
for std in (1.0, 0.1):
    own = curves["FOGZO", std]
    slope = jnp.asarray(own["mean_slope"])
    scheduled = Schedule(lambda tau, slope=slope: 0.3 * jnp.interp(tau, jnp.asarray(times), slope))
    same = model(std=std).replace(update_rule=STE(), learning_rate=scheduled)
    gaps[std] = np.abs(solve(same, END, times=times, tolerance=1e-3)["eps_g"] - own["eps_g"]).max()
print("largest gap of eps_g:", {std: f"{gap:.1e}" for std, gap in gaps.items()})

# %% [markdown]
# ## Runs
#
# Whose distance from the limit is of order $1/(\epsilon\sqrt d)$: perturbations smear the thresholds.

# %%
ax = trajectory(
    solve(model(), END, tolerance=1e-3), simulate(model(), 1000, END, seeds=4, times=np.linspace(0, END, 21))
)

# %% [markdown]
# ## Fixed points
#
# Small learning rates pile weights up at the thresholds; $p$ grows as $\eta^{-1/2}$, and the learning rate $\eta p$
# falls only as $\sqrt\eta$.

# %%
rates = np.geomspace(1e-4, 1, 9)
points = [fixed_points(model(rate=float(rate)))[0] for rate in rates]
others = [fixed_points(point.model.replace(update_rule=STE()))[0] for point in points]
effective = rates * [point.mean_slope for point in points]
figure, axes = panels(1, 2, width=10.5, height=3.6)
for number, (name, found) in enumerate({"FOGZO": points, "STE": others}.items()):
    axes[0].plot(rates, [point.eps_g for point in found], label=name, **style.look(number))
axes[1].plot(rates, effective, "o", color=style.COLORS[0], markerfacecolor="white", label=r"$\eta p$")
axes[1].plot(rates, effective[0] * (rates / rates[0]) ** 0.5, color=style.GRAY, label=r"$\propto\sqrt{\eta}$")
axes[0].set(xlabel=r"learning rate $\eta$", xscale="log", ylabel=r"$\varepsilon_g$ at the fixed point")
axes[1].set(xlabel=r"learning rate $\eta$", xscale="log", yscale="log", ylabel="effective learning rate")
for ax in axes:
    style.legend(style.axes(ax))
exponent = np.log(effective[1] / effective[0]) / np.log(rates[1] / rates[0])
print(f"exponent of eta p at small eta: {exponent:.3f}")

# %% [markdown]
# ## Equal passes
#
# A step of FOGZO with one direction is four passes, one of the STE two: FOGZO at $\tau$ against the STE at $2\tau$.

# %%
print(f"{'eta':>6}{'STE':>9}{'c = 0':>9}{'c = 2':>9}   error after 20 d passes")
errors = {}
for rate in (0.03, 0.1, 0.3):
    rules = [model(rate=rate).replace(update_rule=STE()), model(0.0, rate), model(2.0, rate)]
    ends = [2 * END, END, END]
    errors[rate] = [
        float(solve(spec, end, times=[end], tolerance=3e-3)["eps_g"][-1]) for spec, end in zip(rules, ends, strict=True)
    ]
    print(f"{rate:6g}" + "".join(f"{error:9.4f}" for error in errors[rate]))

# %% [markdown]
# FOGZO is a schedule for the STE with more noise, at twice the price. It can be ahead where the learning rate is too
# small for the STE, since $p > 1$ makes up for that; with each rule at its best learning rate it is not, here.

# %%
best = np.min(list(errors.values()), axis=0)
assert np.ptp(runs["eps_g"], axis=1).max() == 0
assert max(gaps.values()) < 5e-4
assert abs(exponent - 0.5) < 0.02
assert best[0] < min(best[1:])
