r"""The limit of training in rotated axes, by dynamical mean-field theory.

`simulate(basis="rotated")` turns inputs, teacher and initial weights by one random rotation before anything is
quantized. Then, as d grows,

- the turned pairs (w*, w_0) are Gaussian with the second moments of the laws, E w*^2, E w_0^2 and E w* E w_0: of the
  laws themselves nothing else is left, and the teacher is in general position to the eigenvectors;
- inputs have the covariance K with the eigenvalues of the spectrum; two of them are correlated by order d^-1/2, so that
  their images have K_q = E[z z^T] = c^2 K + kappa 1 and E[z x^T] = c K, with c = E[x z]/lambda, kappa = E[z^2] -
  c^2 lambda at the mean eigenvalue lambda, which every coordinate has for its variance.

With a = w*/c and the offset delta = a - E[Q(w)] the mean-field theory of K_q is followed (`steode.solvers.mean_field`):

    dw = eta (K_q delta + noise of V K_q/B - kappa a - (weight decay) w - (dampening) (w - Q)) dtau,
    V = sigma^2 + lambda E w*^2 - lambda_q E a^2 + 2 kappa E[a Q] + lambda_q E Var Q + delta^T K_q delta/d,

lambda_q = c^2 lambda + kappa. A map of the weights that is drawn anew in every step adds its variance to V and nothing
else. Derived here; checked in tests/agreement/test_rotated_limit.py.
"""

import dataclasses
import math

import numpy as np
import scipy
from jaxtyping import Array, Float

from steode.errors import UnsupportedError
from steode.parts.laws import Normal
from steode.parts.quantizers import StepFunction
from steode.parts.spectrum import Eigenvalues
from steode.solvers.domain import learning_rates
from steode.solvers.entrywise import Map
from steode.solvers.equations import Problem
from steode.solvers.mean_field import Coordinates, Path, follow, gauss_rule
from steode.solvers.mean_field_levels import NODES, extrapolate, time_steps
from steode.systems.linear.problem import make_problem, nominal_start
from steode.systems.linear.spec import LinearModel

SAMPLES = 20_000
"""Of one coordinate, at the finest level."""
LEAST_CORRELATION = 1e-3
"""Of inputs with their images, below which nothing is learned from them."""
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclasses.dataclass(frozen=True, eq=False)
class TurnedCoordinates(Coordinates):
    """Targets a and initial weights, each (n,), and what the module docstring calls the rest."""

    target: np.ndarray
    start: np.ndarray
    weight_map: Map
    thresholds: np.ndarray | None  # None: levels are not counted
    least: float  # sigma^2 + lambda E w*^2 - lambda_q E a^2
    power: float  # lambda_q
    kappa: float
    decay: float
    dampening: float
    scale: float = 1.0

    def offset(self, weights):
        """a - E[Q(w)], (n,)."""
        return self.target - np.asarray(self.weight_map(weights))

    def floor(self, weights):
        """What V is beside delta^T K_q delta/d."""
        image = np.asarray(self.weight_map(weights))
        noise = np.mean(np.asarray(self.weight_map.square(weights)) - image**2)
        return self.least + 2 * self.kappa * np.mean(self.target * image) + self.power * noise

    def drift(self, weights):
        """-kappa a - (weight decay) w - (dampening) (w - E[Q(w)]), (n,)."""
        pull = self.decay * weights + self.dampening * (weights - np.asarray(self.weight_map(weights)))
        return -self.kappa * self.target - pull

    def measure(self, weights):
        """E[a delta], mean and standard deviation of the weights, fractions at the levels."""
        values = [np.mean(self.target * self.offset(weights)), np.mean(weights), np.std(weights)]
        if self.thresholds is None:
            return np.array(values)
        cell = np.searchsorted(self.thresholds, weights, side="right")
        return np.concatenate([values, np.bincount(cell, minlength=self.thresholds.size + 1) / weights.size])


def solve_rotated(
    model: LinearModel, times: Float[Array, " T"], drawn: tuple[np.ndarray, np.ndarray] | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Observables and their estimated errors at the times.

    `drawn`: teacher and initial weights (d,) in the axes of the quantizers, in place of the model's laws. Raises
    `UnsupportedError` for more time steps than can be done, or inputs without correlation with their images.
    """
    t_end = float(times[-1])
    variance, rho = model.spectrum.mean, model.teacher.second_moment
    white = model.replace(spectrum=Eigenvalues([variance]), teacher=Normal(std=1.0))
    problem = make_problem(white, nominal_start(white).rows(np.zeros(0), 2))
    correlation, square = (float(np.ravel(alpha)[0]) for alpha in (problem.alpha_1, problem.alpha_2))
    if square <= 0 or correlation**2 <= LEAST_CORRELATION**2 * variance * square:
        raise UnsupportedError("solve, dmft: rounding leaves next to nothing of the inputs; give them finer levels.")
    factor = correlation / variance
    kappa = max(square - factor * correlation, 0.0)
    spectrum = gauss_rule(factor**2 * model.spectrum.values + kappa, NODES)
    fastest = float(learning_rates(problem, t_end).max())
    remedy = 'shorten t_end, or take simulate(..., basis="rotated")'
    steps = time_steps(t_end, fastest * (float(spectrum[0].max()) + model.weight_decay), None, remedy)
    pairs = _Pairs(model, drawn)
    if drawn is not None:
        rho = float(np.mean(drawn[0] ** 2))
    quantizer, loudness = model.weight_quantizer, model.noise**2
    shared = {
        "weight_map": problem.weight_map,
        "thresholds": quantizer.thresholds if isinstance(quantizer, StepFunction) else None,
        "least": loudness + (variance * rho - square * rho / factor**2),
        "power": square,
        "kappa": kappa,
        "decay": model.weight_decay,
        "dampening": model.dampening,
    }

    def run(level: int, count: int, rng: np.random.Generator) -> Path:
        teacher, start = pairs.of(SAMPLES >> level)
        target = teacher / factor
        path = follow(
            spectrum,
            TurnedCoordinates(target, start, **shared),
            rates=_rates(problem, t_end, count),
            batch_size=model.batch_size,
            dt=t_end / count,
            rng=rng,
            aligned=target,
        )
        m = (square - kappa) * rho / factor**2 - path.overlap + kappa * path.measured[:, 0]
        return path._replace(overlap=m)

    V, m, measured = extrapolate(run, t_end, times, steps, (0,))
    found = {
        "eps_g": ((V.value - loudness) / 2, V.error / 2),
        "V": (V.value, V.error),
        "m": (m.value, m.error),
        "q": (V.value - loudness - variance * rho + 2 * m.value, V.error + 2 * m.error),
    }
    parts = {"mean_w": 1, "std_w": 2} | ({} if shared["thresholds"] is None else {"level_fraction": slice(3, None)})
    found |= {name: (measured.value[:, part], measured.error[:, part]) for name, part in parts.items()}
    return {name: value for name, (value, _) in found.items()}, {name: error for name, (_, error) in found.items()}


def _rates(problem: Problem, t_end: float, count: int) -> np.ndarray:
    """The learning rate at the beginning of every time step."""
    if not problem.schedules:
        return np.full(count, float(problem.eta))
    return np.asarray(problem.at(np.arange(count) * (t_end / count)).eta)


class _Pairs:
    """Turned pairs (w*, w_0): of a model's laws, or drawn ones."""

    def __init__(self, model: LinearModel, drawn: tuple[np.ndarray, np.ndarray] | None):
        self.drawn = drawn
        cross = model.teacher.mean * model.init.mean
        moments = np.array([[model.teacher.second_moment, cross], [cross, model.init.second_moment]])
        values, vectors = np.linalg.eigh(moments)
        self.root = vectors * np.sqrt(np.maximum(values, 0.0))

    def of(self, count: int) -> np.ndarray:
        """About so many pairs, (2, n): points of a lattice, with exactly the second moments; or copies of the drawn."""
        if self.drawn is not None:
            return np.tile(np.stack(self.drawn), max(1, round(count / self.drawn[0].size)))
        numbers = np.arange(count)
        normal = scipy.special.ndtri([(numbers + 0.5) / count, (numbers * GOLDEN + 0.5) % 1.0])
        normal -= normal.mean(axis=1, keepdims=True)
        normal = np.linalg.solve(np.linalg.cholesky(normal @ normal.T / count), normal)
        return self.root @ normal
