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
# # Classification with a quantized ReLU
#
# Classes in orthogonal planes, each symmetric around zero, so that no linear classifier can tell them apart; two layers
# with a quantized ReLU between them, and a surrogate in the place of its derivative. Which surrogates lead to perfect
# classification, and what stops the others?

# %%
import numpy as np

from steode import classification
from steode.plot.classification import loss_curve, neurons, success
from steode.plot.panels import panels


def model_of(**changes):
    return classification.ClassificationModel(**({"classes": 3, "neurons_per_class": 6, "step": 1.0} | changes))


ORDER = ("relu", "exponential tail", "logarithmic tail", "clipped relu", "identity")

# %% [markdown]
# ## Five surrogates
#
# The class with which training is expected to succeed: zero below zero, and bounded from both sides above.

# %%
for name in ORDER:
    print(classification.surrogate_report(name, bits=2))

# %% [markdown]
# ## The coarse gradient
#
# Only sums of levels over the neurons of a class count. A sample with loss pulls the neurons of its own class towards
# itself and pushes those of the leading wrong class away.

# %%
found = classification.derive(model_of())
found.step("coarse gradient of one sample")

# %% [markdown]
# From this follows where training can rest:

# %%
found.step("states of rest")

# %% [markdown]
# ## The picture in a plane
#
# Samples at the colored angles have loss. Four neurons of the class (blue) start on one side of the origin; training
# turns them until their convex hull holds it, and the other neurons (gray) shrink.

# %%
small = model_of(neurons_per_class=4, step=0.3)
runs = classification.simulate(small, 12_000, seeds=8, key=4, record=(0, 20, 60, 200, 12_000))
start = ~runs.covered(0) & runs.perfect[:, None]
seed = int(np.argmin(np.where(start.any(axis=1), runs.last_loss, np.inf)))
number = int(np.argmax(start[seed]))
figure, axes = panels(1, 4, width=11.0, height=3.0)
for place, ax in enumerate(axes):
    neurons(small, runs.weights[seed, place], number, ax=ax)
    ax.set_title(f"after {runs.steps[place]} steps", fontsize="medium")
before, after = runs.covered(0), runs.covered()
print(f"covered at the start: {before.sum()} of {before.size} classes, at the end: {after.sum()}")

# %% [markdown]
# ## Which surrogates classify perfectly
#
# A run counts as perfect if none of 2000 fresh samples has loss at the end.

# %%
results = {name: classification.simulate(model_of(surrogate=name), 8000, seeds=12, key=2) for name in ORDER}
figure, (left, right) = panels(1, 2, width=11.0, height=3.8)
for color, (name, trained) in enumerate(results.items()):
    loss_curve(trained, label=name, color=color, ax=left)
ax = success(results, ax=right)

# %% [markdown]
# The identity moves all neurons of a class together, so that across that shift their pre-activations stay small:

# %%
identity = results["identity"]
own, _ = identity.neurons(0)
apart = own - own[:, :, :1]
drift = float(np.abs(apart - apart[:, :1]).max())
print(f"differences between neurons of a class change by {drift:.0e}, neurons by {np.ptp(own, axis=1).max():.2f}")
print(classification.obstacles(identity.model, identity.weights[0, 0])[0])

# %% [markdown]
# ## What the lower bound is for
#
# The clipped ReLU did as well as the others: from a small start few neurons are ever saturated. Here is a start from
# which it cannot leave. Own neurons cover the plane, but within 30 degrees of one of them a neuron of another class
# ties with it, and both are beyond the highest level.

# %%
state = model_of(neurons_per_class=3, bits=3)
weights = classification.trapped(state, "saturated")
figure, axes = panels(1, 2, width=9.0, height=3.4)
neurons(state, weights, 0, ax=axes[0])
escaped = {}
for color, name in enumerate(ORDER[:4]):
    trial = state.replace(surrogate=name)
    print(f"{name:>18}: |E g| = {classification.examine(trial, weights)[0].coarse:.2e}")
    escaped[name] = classification.simulate(trial, 8000, seeds=4, init=weights)
    loss_curve(escaped[name], label=name, color=color, ax=axes[1])

# %% [markdown]
# With a lower bound every surrogate leaves, at a speed set by its value on saturated neurons. A lower bound is not
# enough everywhere: where no neuron at all is on, every surrogate that is zero below zero rests.

# %%
uncovered = classification.trapped(state, "uncovered")
print(classification.examine(state, uncovered)[0])

# %% [markdown]
# The claims of this page.

# %%
assert not before.all()
assert after.all()
assert all(results[name].success()[0] > 0.5 for name in ORDER[:4])
assert not results["identity"].perfect.any()
assert drift < 1e-4
assert not escaped["clipped relu"].perfect.any()
assert all(escaped[name].loss[:, -1].max() < 0.01 for name in ORDER[:3])
assert {one.kind for one in classification.examine(state, uncovered)} == {"trapped"}
