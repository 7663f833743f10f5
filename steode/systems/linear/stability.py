"""The verb `stability`: how a fixed point of the limit reacts to small changes, and how fast it settles."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from steode.errors import ConvergenceError, SpecificationError, UnsupportedError
from steode.solvers import exact_spectra, linearized, stationary
from steode.solvers.entrywise import IdentityMap, StepMap
from steode.solvers.late_decay import late_decay
from steode.solvers.linearized import Linearization
from steode.solvers.random_maps import NoisyMap, RoundingMap
from steode.solvers.scalar_equations import TemperatureEquation, scalar_equation
from steode.solvers.stationary_mesh import ends
from steode.systems.dispatch import for_every_system
from steode.systems.linear.fixed_point import FixedPoint
from steode.systems.linear.properties import require
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.stationary_rows import linearized_rows, mesh_of

MOST_SETTLING_ERROR = 0.05
REPORTED = 6
ISOLATED = 1e-3
"""Distance from the edge of the continuous spectrum, relative to it, from which an eigenvalue counts as isolated."""
ABOVE_BAND = 0.03
"""The same where a continuous teacher law makes a band, whose edge is known less well."""


@dataclasses.dataclass(frozen=True, eq=False)
class Stability:
    """Linear stability of a fixed point.

    Attributes
    ----------
    eigenvalues : the leading isolated eigenvalues of the linearized dynamics, per unit of tau, complex, by decreasing
        real part, at most six; for unquantized weights the two of the moment equations. May be empty.
    eigenvalue_error : their estimated errors, from two meshes; 0 where they are exact.
    continuum_edge : upper edge of the rest of the spectrum: -f^2/(4 D) in an outermost cell with drift f, and for
        continuous teacher laws the relaxation at constant V of the slowest teacher value. Minus infinity for none.
    unstable : number of eigenvalues with positive real part, counted by a winding number (Nyquist).
    stable : True if there are none.
    relaxation_time : 1/(distance of the spectrum from zero): deviations fall like exp(-tau/relaxation_time). Infinite
        where they fall as a power of tau or the point is not stable; NaN at V = 0 under a step function, which is
        reached in a finite time, also by targets on the last level. For continuous teacher laws accurate to about 0.1
        percent.
    late_time : time in which V falls by a factor e late, averaged over its fall from 1e-2 to 1e-4 of its deviation
        after the same change of the law as for the settling time. Shorter than `relaxation_time` where the slowest
        modes hardly show in V: the edge of the continuous spectrum may carry no visible part. NaN where the spectrum is
        known without a mesh, V cannot be changed, or the point is not stable.
    settling_time : integral over tau of V's deviation divided by its initial value, after the least change of the law
        of the weights (in relative entropy) that changes V; see `stability`. Infinite where it diverges; NaN where V
        cannot be changed, the point is not stable, or the estimated error is above 5 percent.
    settling_error : estimated relative error of it, from two meshes and two quadratures of the teacher law.
    largest_learning_rate : below it training stays bounded; at V = 0, below it V = 0 is stable. NaN where not known.
    note : what is special.
    """

    eigenvalues: np.ndarray
    eigenvalue_error: np.ndarray
    continuum_edge: float
    unstable: int
    stable: bool
    relaxation_time: float
    late_time: float
    settling_time: float
    settling_error: float
    largest_learning_rate: float
    note: str

    def __repr__(self) -> str:
        values = ", ".join(f"{z.real:.5g}{z.imag:+.3g}i" if z.imag else f"{z.real:.5g}" for z in self.eigenvalues)
        rows = [
            ("stable", f"{self.stable} ({self.unstable} unstable eigenvalues)"),
            ("eigenvalues", values or "none isolated"),
            ("continuum edge", f"{self.continuum_edge:.6g}"),
            ("relaxation time", f"{self.relaxation_time:.6g}"),
            ("late e-folding time", f"{self.late_time:.6g}"),
            ("settling time", f"{self.settling_time:.6g}"),
            ("largest learning rate", f"{self.largest_learning_rate:.6g}"),
        ]
        return "\n".join([*(f"{name:<22} {value}" for name, value in rows), *([self.note] if self.note else [])])


@for_every_system
def stability(point: FixedPoint) -> Stability:
    r"""Eigenvalues, relaxation and settling time of the limit linearized at a fixed point.

    V alone couples the weights, so that perturbations nu of their law obey nu' = A nu + b <c, nu>, with A the
    Fokker-Planck operator at V* for each teacher value and eigenvalue, c = alpha_2 (Q - a)^2 up to a constant, mu the
    stationary law and b = -A dmu/dV. For other responses a few functionals couple (c_2 in place of V; m and q; with
    FOGZO c_2 and the mean slope), and h is a small determinant; see `steode.solvers.linearized`. Eigenvalues solve
    h(lambda) = 1 - <c, (lambda - A)^{-1} b> = 0; h(0) = 1 - F'(V*), F the implied variance. On a mesh that resolves the
    law, unstable ones are counted by the winding of h along the imaginary axis, and the leading ones computed by
    Arnoldi iteration.

    The settling time needs no eigenvalues. Tilting the law to mu (1 + epsilon c) is the change of least relative
    entropy that changes V by a given amount; from there

        int_0^oo (V - V*) dtau/(V(0) - V*) = <c, (-A)^{-1} mu c>/(<c, mu c> (1 - F'(V*))),

    with c centered for each teacher value: the integrated autocorrelation time of c at constant V, stretched by the
    feedback. It is finite also for continuous teacher laws whose targets reach the last level, where V settles as a
    power of tau. (After a small change of the learning rate the same integral would not do: V can move away first, and
    near the last level the tails change their length, which makes it diverge logarithmically.) Derived here.

    Parameters
    ----------
    point : one of `fixed_points(model)`.

    Raises
    ------
    SpecificationError
        If `point` is not a fixed point.
    UnsupportedError
        At V = 0 under a smooth map of the weights, unless c_h = 1 and c_* = -1 are known.
    ConvergenceError
        So near a bifurcation that the unstable eigenvalues cannot be counted.
    """
    if not isinstance(point, FixedPoint):
        remedy = "For example fixed_points(model)[0]."
        raise SpecificationError("point", "a FixedPoint", point, remedy)
    model = point.model
    require(model, "stability")
    with jax.enable_x64(True):
        if point.V == 0:
            return _at_recovery(model, point)
        if isinstance(point.problem.weight_map, IdentityMap | NoisyMap):
            return _affine(point)
        return _regular(model, point.force)


def _regular(model: LinearModel, force) -> Stability:
    problem, continuous = linearized_rows(model, force)
    held, strength = problem.under(jnp.asarray(force))
    at_ends, weights, notes = ends(held, float(strength)), np.asarray(problem.teacher_weights), []
    edge, free = float(at_ends.edge.max()) + 0.0, float(weights @ ~at_ends.confined)
    if free > 0:
        notes.append(f"targets outside the range or on its end (fraction {free:.3g}): their weights do not react to V")
    if edge == 0:
        notes.append("targets reach the end of the range: deviations fall as a power of tau, at no rate")
    bounded = bool(jnp.all(jnp.isfinite(jnp.stack(stationary.image_range(problem)))))
    largest = np.inf if bounded else np.nan
    if free > 1 - 1e-12:
        none = np.zeros(0, complex)
        numbers = (edge, 0, True, _inverse(-edge), np.nan, np.nan, 0.0, largest)
        return Stability(none, np.zeros(0), *numbers, "; ".join(notes))
    # continuous laws: one number of rows, so that one program serves every learning rate and range
    rows = weights.size if continuous else 0
    padded, nodes = mesh_of(problem, at_ends.confined, force, rows)
    coarse, fine = (linearized.linearize(padded, force, nodes[:, ::step]) for step in (2, 1))
    if continuous:
        edge = max(edge, -float(fine.gaps.min()))
    unstable = linearized.count_right_of(fine)
    eigenvalues, error = _isolated(coarse, fine, edge, unstable, continuous)
    late, settling, settling_error = np.nan, np.nan, 0.0
    if not unstable:
        late = late_decay(fine).e_folding_time
        settling = linearized.integrated_relaxation(fine)
        settling_error = abs(linearized.integrated_relaxation(coarse) / settling - 1) / 3
        if continuous:
            fewer, _ = linearized_rows(model, force, fraction=0.5)
            confined = ends(fewer.under(jnp.asarray(force))[0], float(strength)).confined
            padded, nodes = mesh_of(fewer, confined, force, rows)
            half = linearized.linearize(padded, force, nodes[:, ::2])
            settling_error += abs(linearized.integrated_relaxation(half) / settling - 1)
        if np.any((weights > 0) & (at_ends.edge == 0)):
            settling, settling_error = np.inf, 0.0
    if settling_error > MOST_SETTLING_ERROR:
        notes.append(
            f"settling time not resolved: {settling:.3g} has an estimated relative error of {settling_error:.1g}"
        )
        settling = np.nan
    rate = 0.0 if unstable else -max([edge, *eigenvalues.real])
    return Stability(
        eigenvalues=eigenvalues[:REPORTED],
        eigenvalue_error=error[:REPORTED],
        continuum_edge=edge,
        unstable=unstable,
        stable=unstable == 0,
        relaxation_time=_inverse(rate),
        late_time=late,
        settling_time=settling,
        settling_error=settling_error,
        largest_learning_rate=largest,
        note="; ".join(notes),
    )


def _inverse(rate: float) -> float:
    return 1 / rate if rate > 0 else np.inf


def _isolated(coarse: Linearization, fine: Linearization, edge: float, unstable: int, continuous: bool):
    """Eigenvalues to the right of the continuous spectrum on the finer mesh, and their estimated errors."""
    if continuous:
        # the rows' own eigenvalues fill a band up to the edge
        limit = (1 - ABOVE_BAND) * edge
        wanted = linearized.count_right_of(fine, limit) if edge < 0 else unstable
    else:
        limit, wanted = edge + ISOLATED * abs(edge) if np.isfinite(edge) else edge, REPORTED + 2
    values, errors = np.zeros(0, complex), np.zeros(0)
    # unstable eigenvalues can be far from zero: the shift moves out until all of them are there
    for shift in (0.0, *np.geomspace(fine.gaps.min(), -fine.diagonal.min(), 12)):
        if wanted == 0 or (values.size and np.sum(values.real > 0) == unstable):
            break
        near = linearized.nearest_eigenvalues(fine, wanted, shift)
        near = near[_distances(near, values) > 1e-6 * np.abs(near)]
        others = linearized.nearest_eigenvalues(coarse, wanted + 2, shift)
        values, errors = np.append(values, near), np.append(errors, _distances(near, others) / 3)
    if np.sum(values.real > 0) != unstable:
        raise ConvergenceError(f"stability: {unstable} eigenvalues are unstable, but not all of them were found.")
    order = np.argsort(-values.real, kind="stable")
    order = order[values.real[order] > limit]
    return values[order], errors[order]


def _distances(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each value to the nearest of the others."""
    return np.abs(values[:, None] - others[None, :]).min(axis=1, initial=np.inf)


def _affine(point: FixedPoint) -> Stability:
    """Weights that are not quantized, or with noise that keeps their mean."""
    rate = point.model.learning_rate
    return _without_mesh(exact_spectra.affine(point.problem, jnp.asarray(point.force)), rate, [])


def _at_recovery(model: LinearModel, point: FixedPoint) -> Stability:
    weight_map, notes = point.problem.weight_map, []
    if isinstance(weight_map, StepMap | RoundingMap):
        # nothing is smooth there: V vanishes in a finite time or grows
        spectrum = exact_spectra.Spectrum(np.zeros(0, complex), -np.inf, point.gain, np.nan)
        notes.append(f"V = 0 is multiplied by {point.gain:.4g} for every relaxation of the weights")
        return _without_mesh(spectrum, model.learning_rate, notes)
    problem, continuous = linearized_rows(model)
    if scalar_equation(problem) is None or isinstance(scalar_equation(problem), TemperatureEquation):
        raise UnsupportedError(
            "stability: at V = 0 under a smooth map of the weights it is derived for a response c_h = 1, c_* = -1 "
            f"only; `gain` = {point.gain:.4g} says whether the point lasts."
        )
    if isinstance(weight_map, IdentityMap | NoisyMap):
        return _without_mesh(
            exact_spectra.affine(problem, scalar_equation(problem).force(0.0)), model.learning_rate, []
        )
    return _without_mesh(exact_spectra.smooth_recovery(problem, continuous), model.learning_rate, [])


def _without_mesh(spectrum: exact_spectra.Spectrum, learning_rate: float, notes: list[str]) -> Stability:
    unstable = int(np.sum(spectrum.eigenvalues.real > 0)) if np.isnan(spectrum.gain) else int(not spectrum.gain < 1)
    stable = unstable == 0
    leading = max([spectrum.edge, *spectrum.eigenvalues.real])
    return Stability(
        eigenvalues=spectrum.eigenvalues[:REPORTED],
        eigenvalue_error=np.zeros(spectrum.eigenvalues[:REPORTED].size),
        continuum_edge=spectrum.edge,
        unstable=unstable,
        stable=stable,
        relaxation_time=np.inf if not stable else np.nan if leading == -np.inf else _inverse(-leading),
        late_time=np.nan,
        settling_time=spectrum.settling_time if stable else np.nan,
        settling_error=0.0,
        largest_learning_rate=np.divide(learning_rate, spectrum.gain) if spectrum.gain else np.inf,
        note="; ".join(notes),
    )
