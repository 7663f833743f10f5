"""The verb `compare`: simulated runs against the limit, in standard errors.

What is tested, at each recorded time, is that the mean over seeds of an observable equals the limit's. With S seeds the
gap divided by its standard error follows Student's t with S - 1 degrees of freedom, whose tails are far heavier than
a Gaussian's when S is small: for 4 seeds |t| > 4 has probability 0.03. So `z` is the number whose Gaussian tail
probability equals the Student tail probability of the gap: |z| < 4 means the same for 2 seeds and for 200.

Three things that are no deviation from the limit are kept out of z:
 - the limit's own error estimate and the runs' rounding (`numerical_error`): only the part of the gap beyond it counts;
 - counting: the mean over S runs of dimension d is a mean over S d weights. Before any weight has crossed its first
   threshold every seed shows the same value and the spread is zero, though the limit already has a few on their way.
   One weight changes the mean by about g = (size of the observable)/(S d), and the number of those on their way is
   nearly a Poisson variable: a gap x means x/g weights, give or take the square root. So g^2 + g x is added to the
   squared standard error (`resolution`); where many weights cross at random this is small beside it.
Finite d also has a systematic gap of order 1/d, small beside the standard error unless S is of order d. With FOGZO and
quantized weights it is of order d^-1/2, as large as the standard error of one run: |z| then grows with the number of
seeds, and says that d is finite, not that the limit is wrong (see the step "next order" of its derivation).
"""

from collections.abc import Mapping

import numpy as np
import scipy

from steode.errors import SpecificationError
from steode.systems.dispatch import for_every_system
from steode.systems.linear import configuration
from steode.systems.linear.comparison import Comparison, Comparisons
from steode.systems.linear.fluctuation import Fluctuations
from steode.systems.linear.observables import OBSERVABLES
from steode.systems.linear.remedy_checks import REMEDIES, remedies_read
from steode.systems.linear.solve import ROTATED, solve
from steode.systems.linear.trajectory import Trajectory

ROUNDING = 16.0
"""Rounding of a recorded observable, in units of the run's machine epsilon times the size of what it is made of."""
LATENT = ("mean_w", "std_w")
"""Observables made of the latent weights, which may be large where these are not."""
TIME_TOLERANCE = 1e-9
DRAWN_PRECISION = 0.1
"""Tolerance of a limit started from drawn weights, in units of the standard error it is compared with."""


@for_every_system
def compare(
    theory: Trajectory | Mapping[str, tuple[Trajectory, Trajectory]],
    runs: Trajectory | None = None,
    *,
    start: str = "nominal",
    observable: str = "eps_g",
    fluctuations: Fluctuations | None = None,
) -> Comparison | Comparisons:
    """Compare simulated runs with the limit of the same specification, at the runs' record times.

    Parameters
    ----------
    theory : result of `solve`. Where the runs were recorded at other times, or `start` is "drawn", the limit is solved
        again with the same method, at exactly the runs' times: nothing is interpolated. The tolerance is the same too,
        or for a drawn start a tenth of the runs' typical relative standard error if that is larger. For several models
        in one table give a dictionary, name -> (limit, runs), and nothing for `runs`.
    runs : result of `simulate`, of at least two seeds.
    start : "nominal": the limit starts from the model's laws, so the gap holds the fluctuations of the drawn teacher
        and initial weights as well as those of SGD; "drawn": for each seed it starts from the empirical joint law of
        that seed's teacher and initial weights, so the gap holds those of SGD alone.
    observable : a name that both have.
    fluctuations : result of `fluctuations` for the same model and observable, over times that include the runs' (its
        variance is interpolated). The result then holds the standard deviations it predicts at the runs' dimension
        beside the measured ones; z is not changed.

    Raises
    ------
    SpecificationError
        If the two are not a limit and a simulation of one specification, `runs` has fewer than two seeds, the
        observable or start does not exist, or the fluctuations are of another model or of other times.
    """
    if isinstance(theory, Mapping):
        return _compare_several(theory, runs, start, observable, fluctuations)
    _check_pair(theory, runs, start)
    if start not in ("nominal", "drawn"):
        remedy = "nominal: from the model's laws; drawn: from each run's own weights."
        raise SpecificationError("start", '"nominal" or "drawn"', start, remedy)
    if observable not in theory.observables or observable not in runs.observables:
        common = ", ".join(name for name in OBSERVABLES if name in theory.observables and name in runs.observables)
        raise SpecificationError("observable", f"one of {common}", observable, "Both trajectories must have it.")
    # before anything is solved again, since it may be refused
    predicted = _predicted_std(fluctuations, runs, start, observable)
    simulated = runs[observable]
    seeds = simulated.shape[0]
    if start == "nominal":
        limits = [_at_times(theory, runs.times)]
    else:
        kept = runs.snapshots
        typical = np.median(runs["eps_g"].std(axis=0, ddof=1)) / np.sqrt(seeds) / runs["eps_g"].max()
        tolerance = max(theory.provenance.settings["tolerance"], DRAWN_PRECISION * typical)
        instances = zip(kept.teacher, kept.weights[:, 0], strict=True)
        limits = [_solve_again(theory, runs.times, tolerance, instance) for instance in instances]
    values = np.stack([limit[observable] for limit in limits])
    gaps = simulated - values  # (S, T, ...): one limit serves all seeds, or each has its own
    mean = values.mean(axis=0)
    size = np.abs(mean).max()
    spread = gaps.std(axis=0, ddof=1) / np.sqrt(seeds)
    instance = values.std(axis=0, ddof=1) / np.sqrt(seeds) if start == "drawn" else np.zeros_like(mean)
    estimated = np.mean([limit.error.get(observable, np.zeros_like(mean)) for limit in limits], axis=0)
    rounded = size
    if observable in LATENT:
        rounded = max(np.hypot(*(limit[name] for name in LATENT)).max() for limit in limits)
    numerical = estimated + ROUNDING * np.finfo(runs.provenance.settings["dtype"]).eps * rounded
    gap = gaps.mean(axis=0)
    excess = np.sign(gap) * np.maximum(np.abs(gap) - numerical, 0)
    one_weight = size / (seeds * runs.provenance.settings["dim"])
    resolution = np.sqrt(one_weight**2 + one_weight * np.abs(excess))
    with np.errstate(divide="ignore"):
        # where an observable is zero in the limit and in every run, so is the excess
        t = np.divide(excess, np.hypot(spread, resolution), out=np.zeros_like(excess), where=excess != 0)
    return Comparison(
        observable=observable,
        start=start,
        seeds=seeds,
        times=runs.times,
        theory=mean,
        simulation=simulated.mean(axis=0),
        gap=gap,
        standard_error=spread,
        instance_error=instance,
        numerical_error=numerical,
        resolution=resolution,
        z=normal_score(t, seeds - 1),
        predicted_std=predicted,
        predicted_error=predicted / np.sqrt(seeds),
    )


def _compare_several(pairs: Mapping, runs, start: str, observable: str, fluctuations) -> Comparisons:
    example = 'For example compare({"2 bits": (theory, runs), "3 bits": (other_theory, other_runs)}).'
    if runs is not None or fluctuations is not None:
        given = "runs" if runs is not None else "fluctuations"
        raise SpecificationError(given, "none beside a dictionary of models", given, example)
    whole = all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs.values())
    if not pairs or not whole:
        raise SpecificationError("theory", "name -> (limit, runs), at least one", pairs, example)
    return Comparisons({str(name): compare(*pair, start=start, observable=observable) for name, pair in pairs.items()})


def _predicted_std(fluctuations: Fluctuations | None, runs: Trajectory, start: str, observable: str) -> np.ndarray:
    if fluctuations is None:
        return np.full(runs[observable].shape[1:], np.nan)
    if not isinstance(fluctuations, Fluctuations):
        remedy = "Call steode.fluctuations(model, t_end)."
        raise SpecificationError("fluctuations", "a result of fluctuations, or None", fluctuations, remedy)
    if configuration.to_dict(fluctuations.model) != runs.provenance.specification:
        raise SpecificationError("fluctuations", "those of the runs' model", fluctuations.model, "Give its own.")
    dim = runs.provenance.settings["dim"]
    return fluctuations.std(dim, observable, instance=start == "nominal", times=runs.times)


def normal_score(t: np.ndarray, degrees: int) -> np.ndarray:
    """The number with the Gaussian tail probability that t has under Student's law with `degrees` degrees of freedom.

    Accurate to 1e-9 relative far beyond where tail probabilities underflow: there the logarithm of the tail comes from
    its hypergeometric series.
    """
    t = np.asarray(t, dtype=float)
    size = np.abs(t)
    with np.errstate(divide="ignore"):
        log_tail = np.atleast_1d(np.log(scipy.special.stdtr(degrees, -size)))
    far = log_tail < -600
    log_tail[far] = _log_far_tail(np.atleast_1d(size)[far], degrees)
    return -np.sign(t) * scipy.special.ndtri_exp(log_tail.reshape(t.shape))


def _log_far_tail(t: np.ndarray, degrees: int) -> np.ndarray:
    """log P(T > t): I_x(n/2, 1/2)/2 at x = n/(n + t^2), by the hypergeometric form DLMF 8.17.8."""
    half = degrees / 2
    log_x = -2 * np.log(np.hypot(1, t / np.sqrt(degrees)))
    series = scipy.special.hyp2f1(half + 0.5, 1, half + 1, np.exp(log_x))
    return half * log_x + np.log1p(-np.exp(log_x)) / 2 + np.log(series / degrees) - scipy.special.betaln(half, 0.5)


def _check_pair(theory: Trajectory, runs: Trajectory, start: str) -> None:
    for name, value, kind, verb in (("theory", theory, "limit", "solve"), ("runs", runs, "simulation", "simulate")):
        if not isinstance(value, Trajectory) or value.provenance.kind != kind:
            remedy = "The order is compare(theory, runs)."
            raise SpecificationError(name, f"a trajectory made by {verb}", value, remedy)
    if theory.provenance.specification != runs.provenance.specification:
        ours, theirs = theory.provenance.specification, runs.provenance.specification
        differing = ", ".join(key for key in ours if ours[key] != theirs.get(key))
        remedy = "Solve and simulate the same model."
        raise SpecificationError("runs", "the specification of the limit", f"another {differing}", remedy)
    for name in REMEDIES:
        ours, theirs = (trajectory.provenance.settings.get(name) for trajectory in (theory, runs))
        if ours != theirs:
            raise SpecificationError("runs", f"the {name} of the limit, {ours}", theirs, "Give both the same.")
    if theory.provenance.settings["start"] != "nominal":
        remedy = 'Use solve without start; compare(..., start="drawn") starts it from each run\'s weights.'
        raise SpecificationError("theory", "the limit from the nominal laws", "one from drawn weights", remedy)
    turned = runs.provenance.settings.get("basis") == "rotated"
    if turned != (theory.provenance.method == ROTATED):
        expected = f'"{ROTATED}", the limit of rotated axes' if turned else "a limit in the eigenbasis"
        remedy = "Quantizers act in the eigenbasis by every other method of solve and by simulate's default."
        raise SpecificationError("theory", expected, f'method "{theory.provenance.method}"', remedy)
    given = runs.provenance.settings.get("given")
    if given and start == "nominal":
        received, remedy = f"runs with given {' and '.join(given)}", 'Use compare(..., start="drawn").'
        raise SpecificationError("runs", "runs that drew from the model's laws", received, remedy)
    seeds = runs["eps_g"].shape[0]
    if seeds < 2:
        remedy = "A standard error needs the spread over runs: simulate(..., seeds=4)."
        raise SpecificationError("runs", "at least two seeds", seeds, remedy)


def _at_times(theory: Trajectory, times: np.ndarray) -> Trajectory:
    """The limit at exactly these times: picked out where it has them, solved again otherwise."""
    nearest = np.abs(theory.times[None, :] - times[:, None]).argmin(axis=1)
    if np.any(np.abs(theory.times[nearest] - times) > TIME_TOLERANCE):
        return _solve_again(theory, times, theory.provenance.settings["tolerance"])
    return Trajectory(
        times=times,
        observables={name: value[nearest] for name, value in theory.observables.items()},
        error={name: value[nearest] for name, value in theory.error.items()},
        density=None,
        snapshots=None,
        provenance=theory.provenance,
    )


def _solve_again(theory: Trajectory, times: np.ndarray, tolerance: float, start=None) -> Trajectory:
    method = theory.provenance.method
    options = {"method": method, "tolerance": tolerance, "start": start} | remedies_read(theory.provenance.settings)
    return solve(theory.model, float(times[-1]), times=times, **options)
