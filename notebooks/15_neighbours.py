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
# # Neighbors
#
# Five other theories of training, each of which follows gradient flow in a reduced system of its own. Laid side by
# side they look alike: a loss, a flow, something it conserves, a smaller closed system, and a claim about where it
# ends. `steode.gradient_flows` derives each from its loss, integrates the reduced system, and puts literal gradient
# descent beside it.

# %%
import numpy as np

from steode import gradient_flows as flows
from steode.plot.gradient_flows import draw
from steode.systems.gradient_flows import references

models = {
    "word co-occurrence": flows.CooccurrenceModel(samples=12, vocabulary=16, width=24, neurons=32, spread=0.5),
    "diagonal network": flows.DiagonalModel(scale=100.0),
    "sparse regression": flows.SparseModel(samples=100, dim=2000, sparsity=1, strength=1500.0, scale=1e-10),
    "univariate ReLU": flows.UnivariateModel(width=80, outer=0.5),
    "matrix completion": flows.CompletionModel(scale=0.01),
}

# %% [markdown]
# ## What a system needs
#
# A loss in its states, and what those states predict. Conserved quantities are checked as they are named: a wrong one
# is refused.

# %%
for name, model in models.items():
    print(f"{name:>20}: conserved {', '.join(flows.derive(model).conserved)}")

# %% [markdown]
# For instance the transformer: with words as unit vectors its width $m$ and its $m_1$ neurons are two numbers in a
# closed system of inner products.

# %%
flows.derive(models["word co-occurrence"]).step("reduced system")

# %% [markdown]
# ## Descent follows the flow
#
# Descent uses `jax.grad` of the loss, written once more; the flow is solved in the reduced variables. That they
# approach each other as the step size says that derivation and reduction are right.

# %%
ends = {
    "word co-occurrence": 0.05, "diagonal network": 1e-6, "sparse regression": 1e-4, "univariate ReLU": 0.2,
    "matrix completion": 3.0,
}  # fmt: skip
orders = {name: flows.order(model, ends[name], (100, 400)).slope for name, model in models.items()}
for name, order in orders.items():
    print(f"{name:>20}: order {order:.3f}")

# %% [markdown]
# ## Rich only at absurd accuracy
#
# A diagonal network $\beta = u^2 - w^2$ started at scale 100. Its clock is $\log(1/L)$, so that nothing as small as the
# loss is ever written: the last point is $L = e^{-10^7}$.

# %%
model = models["diagonal network"]
accuracies = np.geomspace(30, 1e7, 12)
path = flows.solve(model, accuracies, clock="accuracy")
directions = flows.coefficients(path)
directions /= np.linalg.norm(directions, axis=1)[:, None]
distances = {}
for norm in (2, 1):
    end = references.max_margin(model.data()["inputs"], norm)
    distances[norm] = np.linalg.norm(directions - end / np.linalg.norm(end), axis=1)
curves = {f"from the l{norm} margin": (accuracies / np.log(10), distance) for norm, distance in distances.items()}
figure = draw(flows.Findings({}, (flows.Panel("$-\\log_{10}$ loss", "distance of the direction", curves, "xy"),)))

# %% [markdown]
# ## Three factors find rank one, two do not
#
# Both diagonal entries of a $2\times2$ matrix are observed to be 1, so that the rest is free.

# %%
scales, curves = np.array([0.3, 0.1, 0.03]), {}
for depth in (2, 3):
    model = models["matrix completion"].replace(depth=depth)
    ends = [flows.solve(model.replace(scale=scale), [100.0], rtol=1e-7).predicted[-1] for scale in scales]
    sigma = np.linalg.svd(np.array(ends), compute_uv=False)
    curves[f"depth {depth}"] = scales, sigma[:, 1] / sigma[:, 0]
figure = draw(flows.Findings({}, (flows.Panel("scale of the start", r"$\sigma_2/\sigma_1$", curves, "xy", True),)))

# %% [markdown]
# The volume of state space above an entry of the matrix says the same: it grows towards rank one.

# %%
volumes = [flows.volume_density(models["matrix completion"], np.array([[1, x], [x, 1]])) for x in (0, 0.5, 0.9, 0.99)]
print(np.round(volumes, 2))

# %% [markdown]
# ## Signal in the squares, noise in the linear part
#
# $\beta = v + \lambda(w^2 - u^2)$ interpolates noisy data; the squares carry the signal, and $v$ spreads the noise
# over all coordinates.

# %%
model = models["sparse regression"]
data = model.data()
end = flows.coefficients(flows.solve(model, [2.0], rtol=1e-6))[-1]
found = {"combined": end} | {
    f"smallest l{norm}": references.interpolator(data["inputs"], data["targets"], norm) for norm in (1, 2)
}
test = {name: float(np.sum((beta - data["teacher"]) ** 2)) for name, beta in found.items()}
print({name: round(value, 3) for name, value in test.items()})

# %% [markdown]
# The claims of this page.

# %%
assert all(abs(order - 1) < 0.03 for order in orders.values())
assert distances[2][4] < distances[1][4] / 5
assert distances[1][-1] < distances[2][-1] / 5
assert np.ptp(curves["depth 2"][1]) < 1e-5
assert np.all(np.diff(curves["depth 3"][1]) < 0)
assert volumes == sorted(volumes)
assert test["combined"] < test["smallest l1"] < test["smallest l2"]
