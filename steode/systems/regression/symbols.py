"""Symbols of quantized linear regression. Coordinates are i, j and k; docs/regression.md says the same in words."""

from sympy import Function, Symbol

gamma = Symbol("gamma", positive=True)
batch = Symbol("B", positive=True, integer=True)
sigma = Symbol("sigma", nonnegative=True)

EPSILON = {
    "data": Symbol("epsilon_d", positive=True),
    "label": Symbol("epsilon_l", positive=True),
    "parameter": Symbol("epsilon_p", positive=True),
    "activation": Symbol("epsilon_a", positive=True),
    "gradient": Symbol("epsilon_o", positive=True),
}
"""Noise variance of each quantizer."""

COORDINATES = ("i", "j", "k")
lam = {c: Symbol(f"lambda_{c}", positive=True) for c in COORDINATES}
"""Eigenvalues: variances of the input coordinates."""
ell = {c: Symbol(f"l_{c}", positive=True) for c in COORDINATES}
"""Eigenvalues of the quantized inputs, E[z^2]."""
teacher = {c: Symbol(f"w^{{*}}_{c}", real=True) for c in COORDINATES}
weight = {c: Symbol(f"w_{c}", real=True) for c in COORDINATES}
"""Weights before the step, in full precision."""
best = {c: Symbol(f"w^{{q}}_{c}", real=True) for c in COORDINATES}
"""Weights that fit labels best from quantized inputs."""
deviation = {c: Symbol(f"v_{c}", real=True) for c in COORDINATES}
"""v = w - w^q before the step."""
mean = {c: Symbol(f"u_{c}", real=True) for c in COORDINATES}
"""u = E[v]."""
square = {c: Symbol(f"m_{c}", nonnegative=True) for c in COORDINATES}
"""m = E[v^2]."""

decay = Symbol("g_i", real=True)
"""Factor by which a mean deviation shrinks in one step."""
T = Symbol("T", real=True)
"""The sum over coordinates through which they interact."""

# the average: sum s of the deviations so far, c = E[s v], q = E[s^2], U = E[s], and the next deviation's noise
total = Symbol("s_i", real=True)
overlap = Symbol("c_i", real=True)
total_square = Symbol("q_i", nonnegative=True)
total_mean = Symbol("U_i", real=True)
innovation = Symbol("nu_i", real=True)

sum_over_j = Function(r"\sum\nolimits_{j}")
sum_over_i = Function(r"\sum\nolimits_{i}")
