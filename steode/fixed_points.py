"""The verb `fixed_points`: where the limit ends up, and what the error there is made of."""

import dataclasses
from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from steode.elementwise import Elementwise
from steode.errors import ConvergenceError, UnsupportedError
from steode.quantizers import Identity
from steode.solve import check_model, make_problem
from steode.solvers import stationary
from steode.solvers.adaptive import teacher_kinks
from steode.solvers.equations import Problem
from steode.solvers.start import NominalStart
from steode.systems.linear.spec import ClippedSurrogate, LinearModel

TEACHER_VALUES = 200
SCAN_POINTS = 2000
"""Values of V between its bounds at which the sign of the equation is taken before refining every root."""

SCAN_WORK = 500_000
"""Scan points times levels; very fine quantizers, whose dithering is nearly linear in V, are scanned with fewer."""

RESIDUAL = 1e-11
"""Largest |V - implied V| of a root, relative to V."""


@dataclasses.dataclass(frozen=True, eq=False)
class FixedPoint:
    """A stationary state of the limit.

    Attributes
    ----------
    V, eps_g : mean squared residual and generalization error (V - sigma^2)/2.
    input_term : rho (1 - alpha_1^2/alpha_2)/2, the loss by quantized inputs alone.
    dithering_term : alpha_2 E Var(Q | w*)/2, weights flipping between levels (or, unquantized, fluctuating).
    clipping_term : alpha_2 E (|a| - omega)_+^2/2, targets beyond the last level. The three terms sum to eps_g.
    residual : V implied by the stationary law minus V.
    kind : "regular"; "exact recovery" (V = 0); or "algebraic recovery" (V = 0, approached as a power of tau, because
        targets sit on the last level).
    escaping : fraction of teacher weights whose target lies outside the range: their latent weights grow without bound.
    deviation : eps_g minus that of the unquantized model, eta sigma^2/(2 (2 - eta)); minus infinity where that
        diverges.
    """

    model: LinearModel
    V: float
    eps_g: float
    input_term: float
    dithering_term: float
    clipping_term: float
    residual: float
    kind: str
    escaping: float
    deviation: float

    def density(self, w, wstar: float) -> np.ndarray:
        """Stationary density mu(w | w*) at an array of points, in closed form.

        Raises `UnsupportedError` where there is none: V = 0, a target that is not strictly inside the range, or
        weights that are not quantized.
        """
        if isinstance(self.model.weight_quantizer, Identity) or self.V == 0:
            raise UnsupportedError("density: closed form for quantized weights and V > 0 only.")
        with jax.enable_x64(True):
            problem = _problem(self.model, teacher=np.array([float(wstar)]))
            values = np.asarray(stationary.density(problem, jnp.asarray(self.V), jnp.asarray(w, dtype=float)))[0]
        if np.isnan(values).any():
            raise UnsupportedError(
                f"density: the target of w* = {wstar:g} is not inside the range; its weight never settles."
            )
        return values

    def level_probabilities(self, wstar: float) -> np.ndarray:
        """Probability of each level given a teacher weight, shape (n,).

        A target on or beyond the last level puts all probability there. Raises `UnsupportedError` for V = 0 or weights
        that are not quantized.
        """
        if isinstance(self.model.weight_quantizer, Identity) or self.V == 0:
            raise UnsupportedError("level_probabilities: for quantized weights and V > 0 only.")
        with jax.enable_x64(True):
            problem = _problem(self.model, teacher=np.array([float(wstar)]))
            return np.asarray(stationary.cell_probabilities(problem, jnp.asarray(self.V)))[0]


@dataclasses.dataclass(frozen=True, eq=False)
class FixedPoints:
    """Every fixed point found, in order of V; iterate or index.

    `points` holds them; `unquantized_eps_g` is the fixed point of the model without quantizers (infinite for eta >= 2);
    `note` says what there is to say about existence.
    """

    points: tuple[FixedPoint, ...]
    unquantized_eps_g: float
    note: str

    def __iter__(self) -> Iterator[FixedPoint]:
        return iter(self.points)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> FixedPoint:
        return self.points[index]

    def __repr__(self) -> str:
        header = f"{'eps_g':>10} {'input':>10} {'dithering':>10} {'clipping':>10}  kind"
        rows = [
            f"{p.eps_g:10.6f} {p.input_term:10.6f} {p.dithering_term:10.6f} {p.clipping_term:10.6f}  {p.kind}"
            for p in self.points
        ]
        unquantized = f"unquantized model: eps_g = {self.unquantized_eps_g:.6f}"
        return "\n".join([header, *rows, unquantized, *([self.note] if self.note else [])])


def fixed_points(model: LinearModel) -> FixedPoints:
    """All fixed points of the limit: roots of V = alpha_2 E[Q^2](V) - 2 alpha_1 E[w* Q](V) + rho + sigma^2.

    The stationary law of Q given w* is piecewise exponential with cell masses in closed form; continuous teacher laws
    are integrated piecewise between the kinks. V lies between the input, clipping and noise terms, which are its value
    without dithering, and the same with the widest dithering the range allows; between these bounds the equation's
    sign is taken at 2000 values and every change refined (Brent). The root V = 0 of a representable teacher is found
    separately.

    Parameters
    ----------
    model : the specification.

    Raises
    ------
    UnsupportedError
        For the clipped surrogate, whose stationary state depends on the initial law, and for smooth maps of the
        weights.
    ConvergenceError
        If a root does not satisfy the equation to 1e-11.
    """
    check_model(model)
    if isinstance(model.surrogate, ClippedSurrogate):
        raise UnsupportedError(
            "fixed_points: with the clipped surrogate frozen weights are atoms, and the state reached depends on the "
            "initial law; solve(model, t_end) to a long time gives it."
        )
    if isinstance(model.weight_quantizer, Elementwise):
        raise UnsupportedError(
            "fixed_points: for step functions and the identity; solve(model, t_end) to a long time instead."
        )
    unquantized = _unquantized(model)
    with jax.enable_x64(True):
        if isinstance(model.weight_quantizer, Identity):
            return _affine_fixed_points(model, unquantized)
        return _step_fixed_points(model, unquantized)


def _unquantized(model: LinearModel) -> float:
    eta = model.learning_rate
    return eta * model.noise**2 / (2 * (2 - eta)) if eta < 2 else np.inf


def _problem(model: LinearModel, teacher: np.ndarray | None = None) -> Problem:
    start = NominalStart(model.teacher, model.init)
    if teacher is not None:
        problem = make_problem(model, start.rows(np.zeros(0), 2))
        return eqx.tree_at(
            lambda p: (p.teacher, p.teacher_weights),
            problem,
            (jnp.asarray(teacher), jnp.full(teacher.shape, 1 / teacher.size)),
        )
    kinks = np.zeros(0)
    if not isinstance(model.weight_quantizer, Identity):
        kinks = teacher_kinks(make_problem(model, start.rows(kinks, 2)))
    return make_problem(model, start.rows(kinks, TEACHER_VALUES))


def _input_term(problem: Problem) -> float:
    return float(problem.rho * (1 - problem.alpha_1**2 / problem.alpha_2) / 2)


def _affine_fixed_points(model: LinearModel, unquantized: float) -> FixedPoints:
    problem = _problem(model)
    alpha_2, eta, noise = float(problem.alpha_2), model.learning_rate, model.noise**2
    if eta * alpha_2 >= 2:
        note = f"no fixed point: the error grows without bound for learning rates >= 2/alpha_2 = {2 / alpha_2:.6g}"
        return FixedPoints((), unquantized, note)
    # the rates are affine in (A, B): two evaluations a column give the linear system to solve
    rates = _moment_rates(problem)
    offset = rates(np.zeros(2))
    matrix = np.stack([rates(unit) - offset for unit in np.eye(2)], axis=1)
    cross, second = np.linalg.solve(matrix, -offset)
    m = problem.equations.teacher_overlap(problem.alpha_1, 1.0, cross)
    q = problem.equations.self_overlap(problem.alpha_2, second)
    variance = float(problem.equations.residual_variance(m, q, problem.rho, problem.sigma))
    eps_g, input_term = (variance - noise) / 2, _input_term(problem)
    residual = float(np.abs(rates(np.array([cross, second]))).max())
    deviation = eps_g - unquantized
    point = FixedPoint(model, variance, eps_g, input_term, eps_g - input_term, 0.0, residual, "regular", 0.0, deviation)
    return FixedPoints((point,), unquantized, "the moment equations are linear: one fixed point, stable")


def _moment_rates(problem: Problem):
    constants = (*problem.training, problem.alpha_1, problem.alpha_2, problem.rho, problem.sigma)
    return lambda moments: np.array([float(rate) for rate in problem.equations.moments(*constants, *moments)])


@eqx.filter_jit
def _implied(problem: Problem, variances):
    return jax.lax.map(lambda variance: stationary.implied_variance(problem, variance), variances)


def _step_fixed_points(model: LinearModel, unquantized: float) -> FixedPoints:
    problem = _problem(model)
    levels, thresholds = (np.asarray(x) for x in (problem.weight_map.levels, problem.weight_map.thresholds))
    a, weights = np.asarray(stationary.targets(problem)), np.asarray(problem.teacher_weights)
    alpha_2, noise = float(problem.alpha_2), model.noise**2
    inside = np.clip(a, levels[0], levels[-1])
    clipping = alpha_2 * float(weights @ (a - inside) ** 2) / 2
    input_term = _input_term(problem)
    lowest = 2 * (input_term + clipping) + noise
    highest = lowest + alpha_2 * float(weights @ ((inside - levels[0]) * (levels[-1] - inside)))
    negligible = 1e-13 * max(float(problem.rho), 1e-300)
    variances = _roots(problem, lowest if lowest > negligible else 0.0, highest)
    nearest = np.abs(a[:, None] - levels[None, :]).argmin(axis=1)
    on_level = np.isclose(a, levels[nearest], rtol=1e-12, atol=1e-14)
    last = on_level & ((nearest == 0) | (nearest == levels.size - 1))
    recovers = lowest <= negligible and bool(on_level.all())
    if recovers:
        variances = [0.0, *variances]

    def point(variance: float) -> FixedPoint:
        eps_g = (variance - noise) / 2
        residual = dithering = 0.0
        if variance > 0:
            residual = float(_implied(problem, jnp.asarray([variance]))[0]) - variance
            spread = np.asarray(stationary.spread(problem, jnp.asarray(variance)))
            dithering = alpha_2 * float(weights @ np.where(a == inside, spread, 0.0)) / 2
        if abs(residual) > RESIDUAL * variance:
            raise ConvergenceError(f"fixed_points: root V = {variance:.6g} leaves a residual of {residual:.1e}")
        kind = "regular" if variance > 0 else "algebraic recovery" if last.any() else "exact recovery"
        escaping, deviation = float(weights @ (a != inside)), eps_g - unquantized
        return FixedPoint(model, variance, eps_g, input_term, dithering, clipping, residual, kind, escaping, deviation)

    notes = []
    if recovers:
        notes.append(_recovery_note(model.learning_rate, alpha_2, levels, thresholds, nearest, last, weights))
    if last.any():
        notes.append(
            f"{float(weights @ last):.3g} of the targets sit on the last level: their weights have no stationary law, "
            "and V approaches its value as a power of tau"
        )
    return FixedPoints(tuple(point(variance) for variance in variances), unquantized, "; ".join(notes))


def _recovery_note(eta: float, alpha_2: float, levels, thresholds, nearest, last, weights) -> str:
    """Stability of V = 0, from the step "exact recovery": V is multiplied by eta alpha_2 E[(g_1 + g_2)/(2 W)]."""
    inner = np.clip(nearest, 1, levels.size - 2)
    per_target = (levels[inner + 1] - levels[inner - 1]) / (2 * (thresholds[inner] - thresholds[inner - 1]))
    gain = alpha_2 * float(weights @ np.where(last, 0.0, per_target)) if levels.size > 2 else 0.0
    if gain == 0:
        return "V = 0 recovers the teacher exactly; it is stable at every learning rate"
    stable = "stable" if eta * gain < 1 else "unstable"
    return f"V = 0 recovers the teacher exactly; it is {stable} (threshold learning rate {1 / gain:.6g})"


def _roots(problem: Problem, lowest: float, highest: float) -> list[float]:
    """Every V where the sign of implied V minus V changes on the scan, refined; at least one if V cannot be zero."""

    def excess(variance: float) -> float:
        return float(_implied(problem, jnp.asarray([variance]))[0]) - variance

    if highest - lowest <= 1e-13 * highest:
        # no target has two levels around it to flip between: V is what remains without dithering
        return [lowest] if lowest > 0 else []
    # just below the lower bound the implied V is larger, whatever rounding does at the bound itself
    points = max(100, min(SCAN_POINTS, SCAN_WORK // problem.weight_map.levels.size))
    grid = np.geomspace(max(lowest * (1 - 1e-12), 1e-9 * highest), highest * (1 + 1e-9), points)
    signs = np.asarray(_implied(problem, jnp.asarray(grid))) - grid
    roots = [
        scipy.optimize.brentq(excess, grid[i], grid[i + 1], xtol=1e-15 * grid[i], rtol=1e-14)
        for i in np.flatnonzero((signs[:-1] > 0) != (signs[1:] > 0))
    ]
    if lowest > 0 and not roots:
        raise ConvergenceError(f"fixed_points: no root found between V = {lowest:.6g} and {highest:.6g}")
    return sorted(float(root) for root in roots)
