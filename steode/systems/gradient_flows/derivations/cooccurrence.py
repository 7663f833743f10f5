"""Flow of the word co-occurrence transformer, and its closed form in inner products of word embeddings.

Width m and number of neurons m_1 enter the closed system as numbers alone: six families of inner products of size
1, d and d x d, for W, W_V, W_K and W_Q.
"""

import functools

import sympy

from steode.systems.gradient_flows.flow import GradientFlow, gradient_flow

d, m, m_1 = sympy.symbols("d m m_1", positive=True, integer=True)
W = sympy.MatrixSymbol("W", m_1, m)
W_V, W_K, W_Q = (sympy.MatrixSymbol(name, m, d) for name in ("W_V", "W_K", "W_Q"))
a = sympy.MatrixSymbol("a", m_1, 1)
c = sympy.MatrixSymbol("c", d, 1)
"""(1/n) sum_i g_i y_i sum_l X_i p_l: attended words weighted by the slopes of the loss."""
H = sympy.MatrixSymbol("H", d, d)
"""(1/n) sum_i g_i y_i of dF_i/d(score) x_k x_l^T."""
root = sympy.Symbol("r", positive=True)
"""sqrt(m)."""
y, F = sympy.symbols("y F", real=True)

s = sympy.MatrixSymbol("s", 1, 1)
G = sympy.MatrixSymbol("G", d, 1)
A, S, P_K, P_Q = (sympy.MatrixSymbol(name, d, d) for name in ("A", "S", "P_K", "P_Q"))
REDUCED = (s, G, A, S, P_K, P_Q)
"""|sum_j a_j w_j|^2, W_V^T W^T a, W_V^T W_V, W_K^T W_Q/sqrt(m), W_K^T W_K, W_Q^T W_Q."""


@functools.cache
def derive_cooccurrence(tokens: int) -> GradientFlow:
    """The flow for sentences of L = `tokens` words."""
    scores, margins = sympy.symbols(f"s_1:{tokens + 1}", real=True), sympy.symbols(f"G_1:{tokens + 1}", real=True)
    weights = sympy.Matrix([sympy.exp(one) for one in scores]) / sum(sympy.exp(one) for one in scores)
    output = sum(weight * margin for weight, margin in zip(weights, margins, strict=True))
    slope = sympy.simplify(-sympy.diff(sympy.log(1 + sympy.exp(-y * F)), F) / y)
    # along the path F is linear in c and H, whatever they are at that moment
    predicted = sympy.Trace(c.T * W_V.T * W.T * a) + sympy.Trace(H.T * W_K.T * W_Q) / root
    flow = gradient_flow(
        -predicted,
        (W, W_V, W_K, W_Q),
        reason="dF = tr of c^T d(W_V^T W^T a) and of H^T d(W_K^T W_Q)/sqrt(m); slopes of the loss are in c and H.",
    )
    flow = flow.explain(
        "slopes",
        (
            sympy.Eq(sympy.Symbol("g"), slope, evaluate=False),
            sympy.Eq(
                sympy.Symbol(r"{\partial F/\partial s_k}"), sympy.Symbol(r"{p_k (G_k - p\cdot G)}"), evaluate=False
            ),
        ),
        "Slope of the logistic loss, and of an average of the words' margins G under a softmax with weights p.",
        slope=slope,
        weights=tuple(weights),
        score_slopes=tuple(sympy.diff(output, one) for one in scores),
        arguments=(scores, margins),
    )
    flow = flow.keep("inner layers", W_V * W_V.T - W.T * W, "Consecutive linear layers are balanced.")
    flow = flow.keep("attention", W_K * W_K.T - W_Q * W_Q.T, "So are the two factors of the scores.")
    v, u = W.T * a, W_V.T * W.T * a
    return flow.reduce(
        REDUCED,
        (v.T * v, u, W_V.T * W_V, W_K.T * W_Q / root, W_K.T * W_K, W_Q.T * W_Q),
        (
            a.T * a * c.T * G + G.T * c * a.T * a,
            A * c * a.T * a + c * s,
            G * c.T + c * G.T,
            (H * P_Q + P_K * H) / root**2,
            S * H.T + H * S.T,
            S.T * H + H.T * S,
        ),
        "Inner products of the embeddings close; a is fixed, its square is m_1, and G.c is the mean of g y F.",
    )
