"""What the literature says a flow ends at, computed by other means: SciPy's optimizers and splines."""

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import linprog, minimize, nnls

from steode.errors import ConvergenceError


def max_margin(inputs: np.ndarray, norm: int) -> np.ndarray:
    """The vector of smallest l1 (`norm` = 1) or l2 norm with margins inputs beta >= 1, (d,)."""
    if norm == 2:
        return _constrained(inputs, lambda beta: beta @ beta / 2, lambda beta: beta)
    found = linprog(np.ones(2 * inputs.shape[1]), A_ub=-np.hstack([inputs, -inputs]), b_ub=-np.ones(len(inputs)))
    return found.x[: inputs.shape[1]] - found.x[inputs.shape[1] :]


def entropy_margin(inputs: np.ndarray, mu: float) -> np.ndarray:
    """argmin of sum_i q(beta_i/mu) with margins >= 1, q(z) = 2 - sqrt(4 + z^2) + z asinh(z/2) (arXiv 2007.06738)."""

    def value(beta):
        z = beta / mu
        # 2 - sqrt(4 + z^2), without the difference of nearly equal numbers
        return mu * np.sum(z * np.arcsinh(z / 2) - z**2 / (2 + np.sqrt(4 + z**2)))

    return _constrained(inputs, value, lambda beta: np.arcsinh(beta / (2 * mu)))


def _constrained(inputs, value, gradient) -> np.ndarray:
    start = np.linalg.lstsq(inputs, np.full(len(inputs), 1.5), rcond=None)[0]
    # the scale of the objective is taken out, so that one tolerance serves every mu
    scale = np.abs(gradient(start)).max()
    margins = {"type": "ineq", "fun": lambda beta: inputs @ beta - 1, "jac": lambda beta: inputs}
    found = minimize(
        lambda beta: value(beta) / scale,
        start,
        jac=lambda beta: gradient(beta) / scale,
        constraints=margins,
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    # the certificate: the gradient is a nonnegative combination of the constraints that hold with equality
    active = inputs[inputs @ found.x < 1 + 1e-6]
    slope = gradient(found.x) / scale
    miss = nnls(active.T, slope)[1] if len(active) else np.inf
    if miss > 1e-5 * np.linalg.norm(slope) or np.min(inputs @ found.x) < 1 - 1e-6:
        raise ConvergenceError(f"The margin problem was not solved (residual {miss:.1e}): {found.message}.")
    return found.x


def interpolator(inputs: np.ndarray, targets: np.ndarray, norm: int) -> np.ndarray:
    """The interpolator of smallest l1 or l2 norm, (d,)."""
    if norm == 2:
        return np.linalg.lstsq(inputs, targets, rcond=None)[0]
    d = inputs.shape[1]
    found = linprog(np.ones(2 * d), A_eq=np.hstack([inputs, -inputs]), b_eq=targets, method="highs")
    return found.x[:d] - found.x[d:]


def kernel_interpolant(model, points: np.ndarray) -> np.ndarray:
    """Smallest outer weights c that interpolate with the inner weights of the start of a `UnivariateModel`."""
    start, data = model.start(), model.data()
    features = lambda x: np.maximum(np.outer(x, start["a"]) - start["b"], 0)  # noqa: E731
    hidden = features(data["x"])
    return features(points) @ (hidden.T @ np.linalg.solve(hidden @ hidden.T, data["y"]))


def natural_spline(model, points: np.ndarray) -> np.ndarray:
    """The interpolating cubic spline of least curvature."""
    data = model.data()
    return CubicSpline(data["x"], data["y"], bc_type="natural")(points)


def effective_rank(W: np.ndarray) -> float:
    """Exponential of the entropy of the singular values' shares (Roy and Vetterli, 2007)."""
    sigma = np.linalg.svd(W, compute_uv=False)
    share = sigma[sigma > 0] / sigma.sum()
    return float(np.exp(-np.sum(share * np.log(share))))
