"""Symbols of the two linear layers with a binarized ReLU; docs/coarse_gradients.md says the same in words."""

from sympy import Function, Symbol

m = Symbol("m", positive=True, integer=True)
"""Rows of the input: entries of v."""
R = Symbol("R", positive=True)
"""|w|, length of the student's filter."""
theta = Symbol("theta", positive=True)
"""Angle between w and w*, between 0 and pi."""
a = Symbol("a", nonnegative=True)
"""|v|^2."""
b = Symbol("b", real=True)
"""1.v, sum of the student's output weights."""
c = Symbol("c", real=True)
"""v.v*."""
S = Symbol("S", real=True)
"""1.v*."""
N = Symbol("N", positive=True)
"""|v*|^2."""
v = Symbol("v_i", real=True)
v_star = Symbol("v^{*}_i", real=True)
kappa = Symbol("kappa", real=True)
"""1 - 2 theta/pi."""

# averages over one row z of the input, in the plane of w and w*
p_1 = Symbol("p_1", positive=True)
"""Probability that z.w > 0."""
p_2 = Symbol("p_2", positive=True)
"""Probability that z.w > 0 and z.w* > 0."""
G_0 = Symbol("G_0", real=True)
"""E[x mu'(z.w)], x = z.w/|w|."""
G_1 = Symbol("G_1", nonnegative=True)
"""E[x mu'(z.w) 1{z.w > 0}]."""
G_e = Symbol("G_e", real=True)
"""E[x mu'(z.w) 1{z.w* > 0}]."""
G_p = Symbol("G_p", nonnegative=True)
"""E[y mu'(z.w) 1{z.w* > 0}], y the coordinate of z across w, towards w*."""
G_minus = Symbol("G_-", real=True)
"""E[x mu'(z.w) 1{z.w < 0}] <= 0: what the surrogate lets through where the unit is off."""

# coordinates of the plane: polar, and along and across w
r = Symbol("r", positive=True)
phi = Symbol("phi", real=True)
x = Symbol("x", real=True)
y = Symbol("y", real=True)
t = Symbol("t", real=True)
derivative = Function(r"\mu'")
"""The surrogate's derivative."""
