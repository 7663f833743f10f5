"""What `fixed_points` returns: stationary states of the limit."""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from steode.errors import SpecificationError, UnsupportedError, check_array, check_finite, check_positive
from steode.parts.quantizers import StepFunction
from steode.parts.stochastic import StochasticRounding
from steode.parts.update_rules import STE
from steode.solvers import stationary
from steode.solvers.equations import Problem
from steode.systems.linear.spec import LinearModel

REGULAR, EXACT = "regular", "exact recovery"
FINDINGS = {
    "diverges": "no fixed point with V > 0: the error grows without bound",
    "none found": "no fixed point with V > 0 found: the latent weights may grow without bound",
    "none moving": "no fixed point with V > 0 and p > 0",
    "frozen laws": "laws without weights near a threshold (p = 0) are frozen, and stationary too",
}
"""What may be said about existence, by the name it has in `FixedPoints.findings`."""


@dataclasses.dataclass(frozen=True, eq=False)
class FixedPoint:
    """A stationary state of the limit.

    Attributes
    ----------
    model : the specification.
    V, eps_g : mean squared residual and generalization error (V - sigma^2)/2.
    input_term : rho (1 - alpha_1^2/alpha_2)/2, the loss by quantized inputs alone.
    dithering_term : alpha_2 E Var(Q | w*)/2, weights flipping between levels (or, unquantized, fluctuating).
    clipping_term : alpha_2 E (|a| - omega)_+^2/2, targets beyond the last level.
    decay_term : alpha_2 E (E[Q | w*] - a)^2/2 minus the clipping term: the pull of weight decay.
    noise_term : alpha_2 E v/2 and the variance of the output's map, halved: stochastic maps of weights and output. The
        five terms sum to eps_g; they are NaN for an output that is not linear, whose error is no such sum.
    mean_slope : p, by which `FOGZO` multiplies the learning rate there, NaN at V = 0; None for the STE.
    residual : V implied by the stationary law minus V (with an output that is not deterministic and linear: the
        largest relative difference between the output's averages and those implied, times V).
    converged : True if |residual| <= 1e-11 V (1e-8 V with an output that is not linear).
    quadrature_error : estimated relative error of V by the quadrature of the teacher law and of many eigenvalues, from
        half as many points; 0 where all values are taken as they are.
    kind : "regular" or "exact recovery" (V = 0).
    escaping : fraction of teacher weights whose target lies outside the range: their latent weights grow without bound
        (never with weight decay).
    deviation : eps_g minus that of the model without quantizers; minus infinity where that diverges.
    gain : at V = 0, factor by which a small V is multiplied for every relaxation of the weights: for step functions
        (eta/B) E[alpha_2 (g_1 + g_2)/(2 W)], g_1 and g_2 the jumps at the ends of the target's cell and W its width;
        infinite where any V grows at every learning rate. NaN for V > 0, where `steode.stability` decides.
    eps_g_by_group : the part of eps_g that comes from each group of coordinates; empty without groups, or where the
        output is not linear.
    problems, force : the equations with the teacher law in them, of each kind of coordinates, and what drives the
        weights there: c_2 (V, where the output is linear and deterministic), or c_h, c_* and c_2; at V = 0 nothing
        does, and `force` is None.
    """

    model: LinearModel
    V: float
    eps_g: float
    input_term: float
    dithering_term: float
    clipping_term: float
    decay_term: float
    residual: float
    converged: bool
    quadrature_error: float
    kind: str
    escaping: float
    deviation: float
    noise_term: float = 0.0
    mean_slope: float | None = None
    gain: float = np.nan
    eps_g_by_group: tuple[float, ...] = ()
    problems: tuple[Problem, ...] = dataclasses.field(default=(), repr=False)
    force: Float[np.ndarray, "..."] | None = dataclasses.field(default=None, repr=False)

    @property
    def stable(self) -> bool | None:
        """At V = 0, whether small V vanish; None for V > 0, where `steode.stability` decides."""
        return None if np.isnan(self.gain) else self.gain < 1

    @property
    def threshold_learning_rate(self) -> float:
        """At V = 0, the learning rate below which it is stable: the gain is proportional to it. NaN for V > 0."""
        return float(np.divide(self.model.learning_rate, self.gain)) if self.gain else np.inf

    @property
    def ste_model(self) -> LinearModel | None:
        """The STE model with the same stationary law, where `model` is updated by `FOGZO` and V > 0; else None."""
        if self.mean_slope is None or np.isnan(self.mean_slope):
            return None
        rate = self.model.learning_rate * self.mean_slope * self.model.update_rule.noise_factor
        return self.model.replace(update_rule=STE(), learning_rate=rate)

    @property
    def problem(self) -> Problem:
        """The equations; those of the first kind of coordinates where there are several."""
        return self.problems[0]

    def density(self, w, wstar: float, eigenvalue: float | None = None, group: int | None = None) -> np.ndarray:
        """Stationary density mu(w | w*) of the latent weight at points w of shape (N,).

        In closed form under a step function and for weights that are not quantized, else by quadrature. `eigenvalue` is
        that of the coordinate, needed where the inputs have a spectrum, and `group` the index of its group, needed
        where the model has groups.

        Raises `SpecificationError` for arguments that are not finite numbers or an eigenvalue that is missing or not
        positive, and `UnsupportedError` where there is no density: V = 0, or without weight decay a target that is not
        strictly inside the range.
        """
        problem, strength = self._law("density", wstar, eigenvalue, group)
        points = check_array("w", w)
        with jax.enable_x64(True):
            values = np.asarray(stationary.density(problem, strength, jnp.asarray(points)))[0]
        if np.isnan(values).any():
            raise UnsupportedError(
                f"density: the target of w* = {wstar:g} is not inside the range; its weight never settles."
            )
        return values

    def level_probabilities(
        self, wstar: float, eigenvalue: float | None = None, group: int | None = None
    ) -> np.ndarray:
        """Probability that the quantized weight is at each level given a teacher weight, shape (n,); see `density`.

        Without weight decay a target on or beyond the last level puts all probability there. Raises
        `SpecificationError` as `density`, and `UnsupportedError` for V = 0 or weights that are quantized neither by a
        step function nor by stochastic rounding.
        """
        quantizer = self.model.members[self._checked_group(group)].weight_quantizer
        if not isinstance(quantizer, StepFunction | StochasticRounding):
            raise UnsupportedError(f"level_probabilities: {quantizer} has no levels; see density.")
        problem, strength = self._law("level_probabilities", wstar, eigenvalue, group)
        with jax.enable_x64(True):
            return np.asarray(stationary.level_probabilities(problem, strength))[0]

    def _checked_group(self, group: int | None) -> int:
        count = len(self.model.groups)
        if group is None and count == 0:
            return 0
        if not isinstance(group, int) or isinstance(group, bool) or not 0 <= group < count:
            expected = f"the index of one of {count} groups" if count else "None: the model has no groups"
            raise SpecificationError("group", expected, group, "Each group has a law of its own.")
        return group

    def _law(self, what: str, wstar: float, eigenvalue: float | None, group: int | None) -> tuple[Problem, jax.Array]:
        """The equations at one teacher weight, under the force there, and its strength."""
        wstar = check_finite("wstar", wstar)
        if self.V == 0:
            raise UnsupportedError(f"{what}: at V = 0 weights rest, and have no density; V > 0 only.")
        with jax.enable_x64(True):
            problem, strength = self.problems[self._checked_group(group)].under(jnp.asarray(self.force))
            own = None if problem.eigenvalues is None else jnp.asarray([_checked_eigenvalue(eigenvalue)])
            if own is None and eigenvalue is not None:
                raise SpecificationError("eigenvalue", "None: all are 1", eigenvalue, "Give the model a spectrum.")
            one = {"teacher": jnp.asarray([wstar]), "teacher_weights": jnp.ones(1), "eigenvalues": own}
            return dataclasses.replace(problem, **one), strength


def _checked_eigenvalue(eigenvalue: float | None) -> float:
    remedy = "With a spectrum the law depends on it; see model.spectrum.values."
    if eigenvalue is None:
        raise SpecificationError("eigenvalue", "the eigenvalue of the coordinate", eigenvalue, remedy)
    return check_positive("eigenvalue", eigenvalue, remedy)


@dataclasses.dataclass(frozen=True, eq=False)
class FixedPoints:
    """Every fixed point found, in order of V; iterate or index.

    Attributes
    ----------
    points : tuple of `FixedPoint`.
    unquantized_eps_g : the fixed point of the model without quantizers (infinite where it diverges).
    complete : True if it is proved that there are no others; `proof` says how, or why not.
    findings : what there is to say about existence, names of `steode.systems.linear.fixed_point.FINDINGS`: "diverges",
        "none found", "none moving" or "frozen laws".
    on_last_level : fraction of the targets that sit on an outermost level, where no stationary law exists (without
        weight decay). At V = 0 that delays nothing for long; with noise their share of V falls as tau^-1/2.
    """

    points: tuple[FixedPoint, ...]
    unquantized_eps_g: float
    complete: bool
    proof: str
    findings: tuple[str, ...] = ()
    on_last_level: float = 0.0

    def __iter__(self) -> Iterator[FixedPoint]:
        return iter(self.points)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> FixedPoint:
        return self.points[index]

    @property
    def note(self) -> str:
        """The findings, the stability of V = 0 and the targets on the last level in words."""
        notes = [FINDINGS[name] for name in self.findings]
        notes += [f"V = 0 recovers the teacher exactly; it is {_lasts(point)}" for point in self if point.kind == EXACT]
        if self.on_last_level:
            notes.append(
                f"{self.on_last_level:.3g} of the targets sit on the last level: their weights have no stationary law; "
                "V = 0 is reached in a finite time nevertheless; where noise keeps V up their share falls as tau^-1/2"
            )
        return "; ".join(notes)

    def __repr__(self) -> str:
        columns = {
            "eps_g": "eps_g",
            "input_term": "input",
            "dithering_term": "dithering",
            "clipping_term": "clipping",
            "decay_term": "decay",
            "noise_term": "noise",
            "mean_slope": "slope",
        }
        values = {name: [getattr(point, name) for point in self.points] for name in columns}
        # terms that no point has, or that are not defined for the output
        optional = ("decay_term", "noise_term", "mean_slope")
        shown = [
            name
            for name, entries in values.items()
            if not (entries and all(entry is None or np.isnan(entry) for entry in entries))
            and (name not in optional or any(entries))
        ]
        rows = [" ".join(f"{columns[name]:>10}" for name in shown) + "  kind"]
        for index, point in enumerate(self.points):
            kind = point.kind if point.converged else "NOT CONVERGED"
            rows.append(" ".join(f"{values[name][index]:10.6f}" for name in shown) + f"  {kind}")
        if not np.isnan(self.unquantized_eps_g):
            rows.append(f"without quantizers: eps_g = {self.unquantized_eps_g:.6f}")
        return "\n".join([*rows, *([self.note] if self.note else []), self.proof])


def _lasts(point: FixedPoint) -> str:
    state = "stable" if point.stable else "unstable"
    threshold = point.threshold_learning_rate
    if threshold in (0.0, np.inf):
        return f"{state} at every learning rate"
    return f"{state} (threshold learning rate {threshold:.6g})"
