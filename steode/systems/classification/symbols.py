"""Symbols of the classification system; docs/classification.md says the same in words."""

from sympy import Function, Symbol

C = Symbol("C", positive=True, integer=True)
"""Number of classes."""
v = Symbol("v", positive=True)
"""Vote: a neuron adds v/2 to its class and -v/2 to all others."""
S_y = Symbol("S_y", nonnegative=True)
"""Sum of the levels Q(h_j) over the neurons that vote for the sample's class."""
S_i = Symbol("S_i", nonnegative=True)
"""The same for another class, where it matters the one with the largest sum."""
T = Symbol("T", nonnegative=True)
"""The same for all classes that are neither."""
rest = Symbol("S^{-}", nonnegative=True)
"""A sum without the neuron that is looked at."""
h = Symbol("h", real=True)
"""Pre-activation w.x of the neuron that is looked at."""
Q = Function("Q")
"""The staircase."""
slope = Function(r"\mu'")
"""The surrogate's derivative."""
R = Symbol("R", positive=True)
"""Length of the part of a neuron's weights that lies in the subspace."""
r = Symbol("r", positive=True)
"""Length of a sample."""
r_0 = Symbol("r_0", positive=True)
r_1 = Symbol("r_1", positive=True)
phi = Symbol("phi", real=True)
"""Angle between sample and neuron in a plane."""
phi_1 = Symbol("phi_1", real=True)
phi_2 = Symbol("phi_2", real=True)
"""Ends of an arc on which samples have positive loss."""
n_y = Symbol("n_y", positive=True, integer=True)
n_i = Symbol("n_i", positive=True, integer=True)
"""Neurons that vote for the class, and for another one."""
q = Symbol("q", positive=True, integer=True)
"""Highest level 2^b - 1."""
m = Symbol("m", positive=True, integer=True)
"""Margin: levels by which a class has to lead, 1/v rounded up."""
