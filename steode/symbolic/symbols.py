"""Every symbol of the linear system, created once. docs/notation.md says the same in words, and a test compares
them.
"""

import sympy
from sympy import Function, IndexedBase, Symbol

# dimension and time
d = Symbol("d", positive=True)
tau = Symbol("tau", nonnegative=True)

# hyperparameters
eta = Symbol("eta", positive=True)
sigma = Symbol("sigma", nonnegative=True)
omega = Symbol("omega", positive=True)
omega_x = Symbol("omega_x", positive=True)
bound = Symbol("c", positive=True)
kappa = Symbol("kappa", positive=True)
batch = Symbol("B", positive=True)

# one coordinate: latent weight, teacher weight, quantized weight, surrogate derivative
w = Symbol("w", real=True)
wstar = Symbol("w^{*}", real=True)
Q = Symbol("Q", real=True)
s = Symbol("s", nonnegative=True)

# one step: input coordinate, quantized input, the other coordinates' residual, label noise
x = Symbol("x", real=True)
z = Symbol("z", real=True)
r = Symbol("r", real=True)
xi = Symbol("xi", real=True)

# the two entrywise maps as objects
Q_w = Symbol("Q_w")
Q_x = Symbol("Q_x")

# input moments and order parameters
alpha_1 = Symbol("alpha_1", positive=True)
alpha_2 = Symbol("alpha_2", positive=True)
m = Symbol("m", real=True)
q = Symbol("q", nonnegative=True)
rho = Symbol("rho", nonnegative=True)
V = Symbol("V", positive=True)
eps_g = Symbol("varepsilon_g", nonnegative=True)

# law of one weight given its teacher weight, and its Gaussian closure
mu = Function("mu")
M = Symbol("M", real=True)
S = Symbol("S", positive=True)
A = Symbol("A", real=True)
C = Symbol("C", nonnegative=True)

# stationary state
a = Symbol("a", real=True)
theta = Symbol("theta", positive=True)
p = Function("p")
balance = Symbol(r"\bar{w}_{j}", real=True)

# averages over the teacher law, its density, and distances around a target in the expansions of the fixed point
gap_low = Symbol("g_1", positive=True)
gap_high = Symbol("g_2", positive=True)
width = Symbol("W", positive=True)
width_low = Symbol("W_1", positive=True)
width_high = Symbol("W_2", positive=True)
jump_low = Symbol("Delta_1", positive=True)
jump_high = Symbol("Delta_2", positive=True)
teacher_density = Function("p_{*}")
teacher_average = Function(r"\mathrm{E}_{w^{*}}")

# levels and thresholds of a step function
j = Symbol("j", integer=True, nonnegative=True)
L = IndexedBase("L", real=True)
T = IndexedBase("T", real=True)
Delta = Symbol("Delta", positive=True)
level = Symbol("L_j", real=True)
next_level = Symbol("L_{j+1}", real=True)
threshold = Symbol("T_j", real=True)

# differentials of the stochastic differential equation
dw = Symbol(r"\mathrm{d}w")
dtau = Symbol(r"\mathrm{d}\tau")
dB = Symbol(r"\mathrm{d}B")

PARAMETERS: dict[str, Symbol] = {
    "learning_rate": eta,
    "noise": sigma,
    "weight_range": omega,
    "input_range": omega_x,
    "bound": bound,
    "weight_decay": kappa,
}
"""Names of the continuous hyperparameters at the Python end, and their symbols."""


def normal_density(
    point: sympy.Expr, mean: sympy.Expr = sympy.S.Zero, variance: sympy.Expr = sympy.S.One
) -> sympy.Expr:
    """Density of N(mean, variance) at a point."""
    return sympy.exp(-((point - mean) ** 2) / (2 * variance)) / sympy.sqrt(2 * sympy.pi * variance)
