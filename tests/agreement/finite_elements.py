r"""A second solver of the limit, which shares nothing with the package: finite elements in space, SDIRK in time.

It solves THE SAME equation in its weak form, for every teacher value (alpha_1, alpha_2 at the row's eigenvalue),

    d/dtau int phi mu dw = int phi' (f mu - D mu') dw,   f = -eta (alpha_2 Q - alpha_1 w*) - eta kappa w,
    D = eta^2 alpha_2 V/(2 B),   V = E[alpha_2 E[Q^2] - 2 alpha_1 w* E[Q]] + rho + sigma^2,

by continuous piecewise polynomials of degree DEGREE (Galerkin, no upwinding, not positive) on elements that shrink
geometrically to every point where Q or the initial law is not smooth, and in time by the L-stable SDIRK method of order
four with five stages of Hairer and Wanner, V iterated in every stage until it stands still. With a clipped surrogate
the domain ends at the bound, where mu = 0, and the mass that leaves is kept as an atom, in the equation of the boundary
function. Orders are four or more in space and time, so halving both tells the accuracy of the coarser one with room.

Sources: Hairer and Wanner, Solving Ordinary Differential Equations II, table 6.5; Ciarlet 1978.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.linalg

DEGREE = 4
RATIO = 0.5
"""Ratio of neighboring elements next to a point where something is not smooth."""
STAGES = np.array(
    [
        [1 / 4, 0, 0, 0, 0],
        [1 / 2, 1 / 4, 0, 0, 0],
        [17 / 50, -1 / 25, 1 / 4, 0, 0],
        [371 / 1360, -137 / 2720, 15 / 544, 1 / 4, 0],
        [25 / 24, -49 / 48, 125 / 16, -85 / 12, 1 / 4],
    ]
)
STAGE_TIMES = STAGES.sum(axis=1)
STANDS_STILL = 1e-13


@dataclasses.dataclass(frozen=True)
class Case:
    """A limit in plain numbers and functions.

    Attributes
    ----------
    image, square : w -> E[Q(w)] and E[Q(w)^2].
    kinks : points where they are not smooth, increasing.
    density, tails : w -> initial density, and the points where it is not smooth.
    ends : the weights beyond which there is no mass up to the last time.
    teacher, weights, alpha_1, alpha_2 : of the rows, shape (K,).
    rho : E[lambda w*^2].
    eta : tau -> learning rate.
    """

    image: Callable
    square: Callable
    kinks: np.ndarray
    density: Callable
    ends: tuple[float, float]
    teacher: np.ndarray
    weights: np.ndarray
    alpha_1: np.ndarray
    alpha_2: np.ndarray
    rho: float
    eta: Callable
    sigma: float = 0.0
    decay: float = 0.0
    batch: int = 1
    band: tuple[float, float] | None = None
    smallest: float = 1e-4
    largest: float = 0.25
    first_step: float = 1e-5
    uneven: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))


def element_ends(case: Case, refinement: int) -> np.ndarray:
    """Ends of the elements: geometric towards the points where something is not smooth, cut into `refinement` parts."""
    low, high = case.ends if case.band is None else case.band
    points = np.concatenate([case.kinks, case.uneven, [] if case.band is None else [low, high]])
    points = np.unique(points[(points >= low) & (points <= high)])
    edges = [np.array([low, high])]
    borders = np.union1d(points, [low, high])
    for left, right in zip(borders[:-1], borders[1:], strict=True):
        length = right - left
        inner = []
        for point, side in ((left, 1), (right, -1)):
            if np.any(point == points):
                distance = length / 2 * RATIO ** np.arange(1, 60)
                inner.append(point + side * distance[distance >= case.smallest])
        inner = np.unique(np.concatenate([[left, right], *inner]))
        for a, b in zip(inner[:-1], inner[1:], strict=True):
            edges.append(np.linspace(a, b, refinement * max(1, int(np.ceil((b - a) / case.largest))) + 1))
    return np.unique(np.concatenate(edges))


class _Space:
    """Matrices in banded form, (2 DEGREE + 1, N) each, and the functionals of one mesh."""

    def __init__(self, case: Case, refinement: int):
        edges = element_ends(case, refinement)
        # Chebyshev-like points keep the basis well conditioned
        local = (1 - np.cos(np.pi * np.arange(DEGREE + 1) / DEGREE)) / 2
        points, rule = np.polynomial.legendre.leggauss(DEGREE + 4)
        points, rule = (points + 1) / 2, rule / 2
        values, slopes = _lagrange(local, points)
        widths = np.diff(edges)
        where = edges[:-1, None] + widths[:, None] * points
        index = np.arange(widths.size)[:, None] * DEGREE + np.arange(DEGREE + 1)
        self.size = widths.size * DEGREE + 1

        def banded(blocks):
            matrix = np.zeros((2 * DEGREE + 1, self.size))
            for i in range(DEGREE + 1):
                for j in range(DEGREE + 1):
                    np.add.at(matrix[DEGREE + i - j], index[:, j], blocks[:, i, j])
            return matrix

        def vector(function):
            result = np.zeros(self.size)
            np.add.at(result, index, np.einsum("eg,gi,e->ei", function * rule, values, widths))
            return result

        def drift(function):
            return banded(np.einsum("eg,gi,gj->eij", function * rule, slopes, values))

        one = np.ones(where.shape)
        self.mass = banded(np.einsum("g,gi,gj,e->eij", rule, values, values, widths))
        self.stiffness = banded(np.einsum("g,gi,gj,e->eij", rule, slopes, slopes, 1 / widths))
        self.pull, self.constant, self.linear = drift(case.image(where)), drift(one), drift(where)
        self.image, self.square, self.total = vector(case.image(where)), vector(case.square(where)), vector(one)
        self.initial = vector(case.density(where))


def _lagrange(nodes, points):
    """Values and slopes of the Lagrange polynomials at the points, shape (points, nodes) each."""
    inverse = np.linalg.inv(np.polynomial.legendre.legvander(2 * nodes - 1, nodes.size - 1))
    values = np.polynomial.legendre.legvander(2 * points - 1, nodes.size - 1) @ inverse
    degrees = np.eye(nodes.size)
    slopes = np.stack(
        [2 * np.polynomial.legendre.legval(2 * points - 1, np.polynomial.legendre.legder(d)) for d in degrees], 1
    )
    return values, slopes @ inverse


def solve(case: Case, times: np.ndarray, refinement: int, steps: int) -> np.ndarray:
    """eps_g at `times` (all > 0); `refinement` parts of every element and about `steps` steps in time."""
    return _Run(case, refinement).evolve(times, steps)


class _Run:
    def __init__(self, case: Case, refinement: int):
        self.case, space = case, _Space(case, refinement)
        self.space, rows = space, case.teacher.size
        self.rows = rows
        self.stacked_mass = self._stack(np.broadcast_to(space.mass, (rows, *space.mass.shape)))
        self.stacked_stiffness = case.alpha_2[:, None, None] * space.stiffness
        pull = case.alpha_2[:, None, None] * space.pull - (case.alpha_1 * case.teacher)[:, None, None] * space.constant
        self.stacked_drift = -self._stack(pull + case.decay * space.linear)
        self.stacked_stiffness = self._stack(self.stacked_stiffness / case.batch)
        self.ends = np.concatenate([np.arange(rows) * space.size, np.arange(1, rows + 1) * space.size - 1])
        self.frozen = np.zeros((2, rows))
        if case.band is not None:
            self._outside()

    def _outside(self):
        """Mass that starts beyond the band stays there with its own image."""
        case = self.case
        points, rule = np.polynomial.legendre.leggauss(40)
        self.static = []
        for low, high in zip((case.ends[0], case.band[1]), (case.band[0], case.ends[1]), strict=True):
            inner = np.concatenate([case.kinks, case.uneven, np.linspace(low, high, 20)])
            edges = np.union1d(inner[(inner > low) & (inner < high)], [low, high])
            where = (edges[1:] + edges[:-1])[:, None] / 2 + np.diff(edges)[:, None] / 2 * points
            weight = rule * np.diff(edges)[:, None] / 2 * case.density(where)
            self.static.append(tuple(np.sum(weight * values(where)) for values in (case.image, case.square)))
        beyond = np.array(case.band) * (1 + 1e-9)
        self.atoms = [(case.image(beyond[[side]])[0], case.square(beyond[[side]])[0]) for side in (0, 1)]

    def _stack(self, blocks):
        """Rows one after the other in one banded matrix; their bands do not touch."""
        return np.ascontiguousarray(np.moveaxis(blocks, 0, 1)).reshape(2 * DEGREE + 1, -1)

    def _times(self, matrix, state):
        result = np.zeros(state.shape)
        size = state.size
        for offset in range(-DEGREE, DEGREE + 1):  # entry (j + offset, j) is in row DEGREE + offset
            band = matrix[DEGREE + offset]
            if offset >= 0:
                result[offset:] += band[: size - offset] * state[: size - offset]
            else:
                result[:offset] += band[-offset:] * state[-offset:]
        return result

    def variance(self, state) -> float:
        """V of a state: coefficients of mu, or with a band the mass of the atom in the two end entries."""
        case, values = self.case, state.reshape(self.rows, -1)
        image, square = np.zeros(self.rows), np.zeros(self.rows)
        if case.band is not None:
            values = values.copy()
            for side, entry in enumerate((0, -1)):
                atom = values[:, entry].copy()
                values[:, entry] = 0
                image += self.static[side][0] + atom * self.atoms[side][0]
                square += self.static[side][1] + atom * self.atoms[side][1]
        image, square = image + values @ self.space.image, square + values @ self.space.square
        overlap = case.alpha_2 * square - 2 * case.alpha_1 * case.teacher * image
        return float(case.weights @ overlap) + case.rho + case.sigma**2

    def _with_atoms(self, matrix, is_mass: bool):
        """Columns of the end entries act on the atoms: their mass is itself, and they do not move."""
        if self.case.band is None:
            return matrix
        matrix = matrix.copy()
        matrix[:, self.ends] = 0
        matrix[DEGREE, self.ends] = 1.0 if is_mass else 0.0
        return matrix

    def evolve(self, times, steps):
        case = self.case
        mass = self._with_atoms(self.stacked_mass, True)
        drift, stiffness = (self._with_atoms(m, False) for m in (self.stacked_drift, self.stacked_stiffness))
        state = self._solve(mass, np.tile(self.space.initial, self.rows))
        variance, results = self.variance(state), []
        grid = _time_grid(times, steps, case.first_step)
        for start, end in zip(grid[:-1], grid[1:], strict=True):
            state, variance = self._step(mass, drift, stiffness, state, variance, start, end - start)
            if np.any(np.isclose(end, times, rtol=1e-13)):
                results.append((variance - case.sigma**2) / 2)
        return np.array(results)

    def _step(self, mass, drift, stiffness, state, variance, start, dt):
        base, rates = self._times(mass, state), []
        for row, moment in zip(STAGES, STAGE_TIMES, strict=True):
            eta = self.case.eta(start + moment * dt)
            known = base + dt * sum((a * rate for a, rate in zip(row, rates, strict=False)), np.zeros(base.shape))
            previous = None
            for _ in range(50):
                operator = eta * drift - eta**2 * max(variance, 0.0) / 2 * stiffness
                stage = self._solve(mass - dt / 4 * operator, known)
                implied = self.variance(stage)
                gap = implied - variance
                if abs(gap) <= STANDS_STILL:
                    break
                # the secant of the gap; the plain replacement first
                moved = 0.0 if previous is None else variance - previous[0]
                slope = (gap - previous[1]) / moved if moved else -1.0
                previous = variance, gap
                variance = variance - gap / (slope if slope < -0.1 else -1.0)
            rates.append(self._times(operator, stage))
        return stage, variance

    def _solve(self, matrix, right):
        return scipy.linalg.solve_banded((DEGREE, DEGREE), matrix, right, overwrite_ab=False, check_finite=False)


def _time_grid(times, steps, first):
    """0, geometric from `first`, through all of `times`: steps are a fixed share of tau + first, and then equal."""
    end = times[-1]
    s = np.linspace(0, 1, steps + 1)
    rate = np.log(end / first)
    # half of the points geometric, half equal
    smooth = first * np.expm1(s * rate) / (end - first) * end * 0.2 + 0.8 * end * s**3
    grid = np.union1d(smooth[(smooth < end)], times)
    keep = np.concatenate([[True], np.diff(grid) > 1e-12 * end])
    return np.union1d(grid[keep], times)
