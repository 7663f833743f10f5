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
omega_f = Symbol("omega_f", positive=True)
omega_l = Symbol("omega_l", positive=True)
omega_o = Symbol("omega_o", positive=True)
bound = Symbol("c", positive=True)
lower = Symbol("c_-", nonpositive=True)
kappa = Symbol("kappa", positive=True)
zeta = Symbol("zeta", positive=True)
batch = Symbol("B", positive=True)

# momentum: what the buffer keeps, and the learning rate at which it moves the weights
beta = Symbol("beta", nonnegative=True)
eta_eff = Symbol(r"\eta_{\mathrm{eff}}", positive=True)

# mean gradient over d/gamma steps: friction, the mean times d^(1/2), and the moments of its Gaussian closure
friction = Symbol("gamma", positive=True)
b = Symbol("b", real=True)
M_b = Symbol("M_b", real=True)
C_b = Symbol("C_b", real=True)
S_b = Symbol("S_b", nonnegative=True)

# sign of the gradient: averages of the norm of a batch of inputs, chance that it is not zero, gradient given the inputs
beta_1 = Symbol("beta_1", positive=True)
beta_2 = Symbol("beta_2", positive=True)
p_0 = Symbol("p_0", positive=True)
g_B = Symbol("g_B", real=True)

# Adam: memory of the second moment, that of one entry of the gradient, and the mean square
c_v = Symbol("c_v", positive=True)
g_i = Symbol("g_i", real=True)
v_g = Symbol("v_g", positive=True)

# a range that moves: weight in units of it, what its gradient takes, where the weight is between the outermost levels
unit_w = Symbol("u_w", real=True)
by_range = Symbol("l", real=True)
between = Symbol(r"\lvert u_{w} \rvert < 1")
eta_range = Symbol("eta_omega", positive=True)

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

# the entrywise maps as objects: weights, inputs, output, teacher's output, labels, residual
Q_w = Symbol("Q_w")
Q_x = Symbol("Q_x")
f = Symbol("f")
f_star = Symbol("f_{*}")
Q_l = Symbol("Q_l")
Q_o = Symbol("Q_o")

# variances of stochastic maps: of the weight given w, and the noise variance of each map
v = Symbol("v", nonnegative=True)
nu_w = Symbol("nu_w", positive=True)
nu_x = Symbol("nu_x", positive=True)
nu_f = Symbol("nu_f", positive=True)
nu_l = Symbol("nu_l", positive=True)
nu_o = Symbol("nu_o", positive=True)
g = Symbol("g", real=True)

# spectrum, and the output: pre-activations of student and teacher, residual, what its Gaussian averages are
lam = Symbol("lambda", positive=True)
h = Symbol("h", real=True)
h_star = Symbol("h^{*}", real=True)
e = Symbol("e", real=True)
e_0 = Symbol("e_0", real=True)
e_h = Symbol("e_h", real=True)
e_star = Symbol("e_{*}", real=True)
c_h = Symbol("c_h", real=True)
c_star = Symbol("c_{*}", real=True)
c_2 = Symbol("c_2", positive=True)
rho_w = Symbol(r"\rho_{\lambda}", nonnegative=True)
gap = Symbol("G", real=True)

# zeroth-order updates: direction, its random part and sign, measured slope, length of the perturbation, share of the
# random part, number of directions, mean slope of the quantizer
v_dir = Symbol("v_i", real=True)
u = Symbol("u", real=True)
s_dir = Symbol("s_{\\pm}", real=True)
G_dir = Symbol("G_n", real=True)
eps = Symbol("epsilon", positive=True)
c_u = Symbol("c_u", nonnegative=True)
n_dir = Symbol("n", positive=True, integer=True)
p_tau = Symbol("p_tau", real=True)
nu = Symbol("nu", positive=True)
Q_mean = Symbol(r"\bar{Q}", real=True)
a_dir = Symbol("a_u", real=True)
m_dir = Symbol("m_u", real=True)
S_1 = Symbol("S_1", real=True)
S_2 = Symbol("S_2", real=True)
V_s = Symbol("V_s", positive=True)
V_u = Symbol("V_u", positive=True)
D_2 = Symbol("D_2", nonnegative=True)

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

NOISE_VARIANCES = (nu_w, nu_x, nu_f, nu_l, nu_o)
"""Noise variances of the maps of weights, inputs, output, labels and residual."""

PARAMETERS: dict[str, Symbol] = {
    "learning_rate": eta,
    "noise": sigma,
    "weight_range": omega,
    "input_range": omega_x,
    "bound": bound,
    "lower": lower,
    "weight_decay": kappa,
    "dampening": zeta,
}
"""Names of the continuous hyperparameters at the Python end, and their symbols."""


def normal_density(
    point: sympy.Expr, mean: sympy.Expr = sympy.S.Zero, variance: sympy.Expr = sympy.S.One
) -> sympy.Expr:
    """Density of N(mean, variance) at a point."""
    return sympy.exp(-((point - mean) ** 2) / (2 * variance)) / sympy.sqrt(2 * sympy.pi * variance)
