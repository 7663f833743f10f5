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
# # Coarse gradients
#
# A unit that is on or off has no derivative; training puts another one in its place. Two linear layers with such units
# between them and Gaussian input, $y(Z) = v\cdot s(Zw)$, trained against a teacher $(v^*, w^*)$, are simple enough to
# know everything: the loss, its stationary points, and what each surrogate $\mu'$ makes of them.

# %%
import numpy as np
import sympy

from steode import binary_relu
from steode.plot import style
from steode.plot.panels import panels, share_legend

TEACHER = (1.0, -0.5, 2.0)
NAMES = ("identity", "relu", "clipped relu")


def model_of(surrogate="relu", teacher=TEACHER, step=0.02):
    return binary_relu.BinaryReLUModel(rows=3, filter_size=4, output_teacher=teacher, surrogate=surrogate, step=step)


# %% [markdown]
# ## What a surrogate changes
#
# With $w$ only its length $R$ and its angle $\theta$ to $w^*$ matter, and of the surrogate only four averages over one
# row of the input:

# %%
found = binary_relu.derive(model_of())
found.step("expected coarse gradient")

# %% [markdown]
# ## The landscape
#
# For every angle there is a best $v$. The loss with it, for teachers of nearly the same $|v^*|$ and growing sum $S$: as
# long as $S^2 < (m+1)|v^*|^2/2$ there is a barrier, and behind it, at $\theta = \pi$, a spurious minimum.

# %%
ax = style.axes(None)
angles = np.linspace(0, np.pi, 121)
for index, teacher in enumerate([(1.0, -0.5, 2.0), (1.0, 0.0, 2.06), (1.32, 1.32, 1.33)]):
    model = model_of(teacher=teacher)
    star, kappa = model.v_star, 1 - 2 * angles / np.pi
    # A^-1 (kappa I + 1 1') v*, A = I + 1 1'
    best = np.linalg.solve(np.eye(3) + 1, (kappa[:, None, None] * np.eye(3) + 1) @ star[:, None])[:, :, 0]
    curve = binary_relu.gradients(model, binary_relu.starts(model, best, angles)).loss
    ax.plot(angles, curve, **style.look(index), label=f"$S$ = {star.sum():.2f}")
    for point in binary_relu.fixed_points(model):
        filled = "full" if point.stable else "none"
        ax.plot(point.theta, point.loss, "o", color=style.COLORS[index], fillstyle=filled)
ax.plot([], [], "o", color=style.GRAY, label="minimum")
ax.plot([], [], "o", color=style.GRAY, fillstyle="none", label="saddle")
ax.set(xlabel=r"angle $\theta$ between $w$ and $w^*$", ylabel="population loss with the best $v$")
style.legend(ax)

# %% [markdown]
# ## Do coarse and true gradient agree?
#
# Their cosine at random points. It is never negative, whatever the surrogate: all that enters is $\mu'$ on the edge of
# the teacher's gate, where it cannot be negative. Agreement is far from perfect: the coarse gradient has a component
# along $w$, the true one has none.

# %%
own = 1 / (1 + sympy.Symbol("x") ** 2)
figure, axes = panels(1, 4, width=13, height=3.2, share="y")
smallest = {}
for ax, surrogate in zip(axes, (*NAMES, own), strict=True):
    model = model_of(surrogate)
    points = binary_relu.random_starts(model, 500, key=1, spread=2.0)
    both = binary_relu.gradients(model, points)
    norms = np.linalg.norm(both.coarse, axis=1) * np.linalg.norm(both.filter, axis=1)
    style.axes(ax).plot(points.theta, both.correlation / norms, ".", markersize=3)
    ax.set(title=f"$\\mu'$: {surrogate}", xlabel=r"angle $\theta$")
    smallest[model.surrogate.name] = both.correlation.min()
axes[0].set_ylabel("cosine of the gradients in $w$")
print("smallest product of the two:", {name: f"{value:.1e}" for name, value in smallest.items()})
# %% [markdown]
# ## Basins
#
# Where the flow ends from $v = x v^*$, $|w| = 1$ and any angle. The identity never ends at the spurious minimum, but
# more often than the others $w$ shrinks to nothing.

# %%
theta, x = (values.ravel() for values in np.meshgrid(np.linspace(0.05, np.pi - 0.05, 15), np.linspace(-1.5, 1.5, 15)))
figure, axes = panels(1, 3, width=11, height=3.8, share="y")
ends = {}
for ax, surrogate in zip(axes, NAMES, strict=True):
    model = model_of(surrogate)
    starts = binary_relu.starts(model, x[:, None] * model.v_star, theta)
    ends[surrogate] = binary_relu.endings(binary_relu.solve(model, starts, 400.0, points=2, tolerance=1e-7))
    for index, kind in enumerate(("global minimum", "spurious minimum", "vanished")):
        chosen = ends[surrogate] == kind
        look = {"marker": "os^"[index], "color": style.COLORS[index], "markersize": 4, "linestyle": ""}
        style.axes(ax).plot(theta[chosen], x[chosen], label=kind, **look)
    ax.set(title=surrogate, xlabel=r"first angle $\theta$")
axes[0].set_ylabel("first $v$ in units of $v^*$")
share_legend(figure)
for surrogate, kinds in ends.items():
    print(f"{surrogate:>12}:", {str(kind): round(float(np.mean(kinds == kind)), 2) for kind in np.unique(kinds)})

# %% [markdown]
# ## The identity leaves the spurious minimum
#
# There its coarse gradient does not vanish, though the true one does. It points along $w$ and shortens it:

# %%
points = {name: binary_relu.fixed_points(model_of(name)) for name in NAMES}
for name, three in points.items():
    print(name, *three, sep="\n   ")

# %% [markdown]
# What a discrete step does when $w$ has become shorter than the step is another matter: $w$ changes sides, the angle
# jumps between 0 and $\pi$, and the loss with it, until $v$ has changed enough for the teacher's side to win. Here from
# a point next to the minimum.

# %%
figure, axes = panels(1, 3, width=11, height=3.2)
runs = {}
for index, name in enumerate(NAMES):
    model = model_of(name, step=0.01)
    start = binary_relu.starts(model, points[name][-1].v + 0.01, np.pi - 0.01)
    runs[name] = binary_relu.descend(model, start, 1500)
    curves = runs[name].length[0], runs[name].theta[0], runs[name].loss[0]
    for ax, curve in zip(axes, curves, strict=True):
        look = {"marker": ".", "markersize": 1.5, "linestyle": ""} if name == "identity" else {}
        style.axes(ax).plot(runs[name].times, curve, **style.look(index) | look, label="" if look else name)
norm = points["identity"][-1].coarse_gradient
times = np.linspace(0, 1 / norm, 5)
axes[0].plot([], [], ".", color=style.COLORS[0], label="identity, every step")
axes[0].plot(times, 1 - norm * times, "o", color=style.GRAY, fillstyle="none", label="predicted rate")
for ax, label in zip(axes, ("length $|w|$", r"angle $\theta$", "population loss $f$"), strict=True):
    ax.set(xlabel="steps times step size", ylabel=label)
figure = share_legend(figure)
# %% [markdown]
# Any surrogate that lets something through for negative arguments does the same, in proportion to what it lets through.
# A leak of a tenth:

# %%
leaky = binary_relu.fixed_points(model_of(sympy.Piecewise((1, sympy.Symbol("x") > 0), (0.1, True))))[-1]
print(f"|E g| at the spurious minimum: identity {norm:.4f}, leak of a tenth {leaky.coarse_gradient:.4f}")

# %% [markdown]
# ## Training on samples
#
# Descent on the population approaches the flow in proportion to the step, training on samples approaches descent on the
# population with the square root of the batch.

# %%
model = model_of("clipped relu", step=0.05)
starts = binary_relu.starts(model, [[1, 0.5, 1], [0.8, -0.2, 0.9]], [1.2, 2.2], 3.0)
rates = binary_relu.convergence(model, starts, 4.0, steps=(0.1, 0.05, 0.025), batches=(32, 128, 512), key=7)
print(rates)

# %% [markdown]
# The claims of this page: gradients never disagree; ReLU and clipped ReLU descend monotonically and rest at the
# spurious minimum; the identity leaves it at the predicted rate and its loss rises on the way; and runs approach the
# flow.

# %%
assert min(smallest.values()) >= 0
assert all(np.diff(runs[name].loss[0]).max() < 1e-12 for name in ("relu", "clipped relu"))
assert np.diff(runs["identity"].loss[0]).max() > 0.5
assert [points[name][-1].stable for name in NAMES] == [False, True, True]
assert not np.any(ends["identity"] == "spurious minimum")
identity = runs["identity"]
assert abs(np.interp(0.5, identity.times, identity.length[0]) - (1 - 0.5 * norm)) < 0.02
assert abs(leaky.coarse_gradient / norm - 0.1) < 1e-9
assert abs(rates.step_power - 1) < 0.1
assert abs(rates.batch_power + 0.5) < 0.17
