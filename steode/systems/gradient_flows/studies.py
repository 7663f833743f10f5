"""`study`: the headline claim of each system as numbers, from the flow, literal descent and independent references."""

import dataclasses
import functools

import numpy as np

from steode.bridge import compile_expression
from steode.errors import ConvergenceError, SpecificationError, UnsupportedError, check_integer, check_positive
from steode.systems.gradient_flows import references, spec
from steode.systems.gradient_flows.derivations import completion
from steode.systems.gradient_flows.derive import derive
from steode.systems.gradient_flows.findings import Findings, Panel
from steode.systems.gradient_flows.solve import coefficients, order, solve


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudySettings:
    """How far a study goes; every field may stand in the [run] table of its file.

    Attributes
    ----------
    t_end : last time of the flow; the time of the comparison with descent is `t_order`.
    scales : starts to compare: `scale` of a diagonal network or a completion, ratios outer/inner of a univariate
        network at outer * inner as given.
    depths : of a completion.
    accuracies : values of log(1/loss) of a diagonal network.
    seeds : number of data sets of a sparse regression.

    Raises `SpecificationError` for a value out of its domain.
    """

    t_end: float = 300.0
    t_order: float = 0.1
    scales: tuple[float, ...] = (1.0,)
    depths: tuple[int, ...] = (2, 3, 0)
    accuracies: tuple[float, ...] = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6)
    seeds: int = 5

    def __post_init__(self):
        for name in ("t_end", "t_order"):
            check_positive(f"run.{name}", getattr(self, name))
        check_integer("run.seeds", self.seeds, 1, 1000)
        for name, check in (
            ("scales", check_positive),
            ("accuracies", check_positive),
            ("depths", lambda where, value: check_integer(where, value, 0, 20)),
        ):
            given = getattr(self, name)
            if not isinstance(given, list | tuple) or not 1 <= len(given) <= 100:
                raise SpecificationError(f"run.{name}", "a list of 1 to 100 numbers", given, "For example [0.1, 1.0].")
            object.__setattr__(self, name, tuple(check(f"run.{name}", value) for value in given))


def study(model, settings: StudySettings) -> Findings:
    """The headline claim of the system of `model` in numbers; its order in the step size is among them.

    Raises `SpecificationError` if `model` is no specification of this room, `ConvergenceError` if the flow cannot be
    followed as far as `settings` asks.
    """
    derive(model)
    found = _study(model, settings)
    measured = order(model, settings.t_order)
    numbers = {"order of descent in the step size": measured.slope, **found.numbers}
    convergence = {f"order {measured.slope:.2f}": (measured.steps, measured.distances)}
    panel = Panel("step size", "distance of descent from the flow", convergence, "xy", marks=True)
    return Findings(numbers, (*found.panels, panel))


@functools.singledispatch
def _study(model, settings):
    raise UnsupportedError(f"run: there is no study of {type(model).__name__}; solve and simulate take it.")


@_study.register
def _(model: spec.CooccurrenceModel, settings):
    data = model.data()
    times = np.concatenate([[0.0], np.geomspace(settings.t_end * 1e-6, settings.t_end, 60)])
    flow = solve(model, times, rtol=1e-7)
    margins = data["labels"] * flow.predicted
    slopes, losses = 1 / (1 + np.exp(margins)), np.logaddexp(0, -margins)
    kinds = [data["kinds"] == kind for kind in range(4)]
    both, one, two, neither = (slopes[:, kind].sum(axis=1) / model.samples for kind in kinds)
    right = np.flatnonzero((margins > 0).all(axis=1))
    if right.size == 0:
        raise ConvergenceError(f"Not all samples are right by time {settings.t_end:g}; make t_end larger.")
    first, G = int(right[0]), flow.state["G"]
    scores = (flow.state["S"] - flow.state["S"][0]) * model.width**0.5
    pairs = {"1,2": (0, 1), "2,1": (1, 0), "3,1": (2, 0), "3,2": (2, 1)}
    names = ("both words", "word 1", "word 2", "neither")
    gap, ratio = np.abs(one - two) / np.minimum(one, two), (one + two + neither - both) / (both - one)
    numbers = {
        "T1: all samples right": float(times[first]),
        "loss at T1": float(flow.loss[first]),
        "loss at the end": float(flow.loss[-1]),
        "largest change of a score at T1": float(np.abs(scores[first]).max()),
        "margins G of words 1, 2, 3 at T1": G[first, :3].tolist(),
        "margins G of words 1, 2, 3 at the end": G[-1, :3].tolist(),
        "gap of slopes of words 1 and 2: start, T1, end": [float(gap[i]) for i in (0, first, -1)],
        "balance ratio R: start, T1, end": [float(ratio[i]) for i in (0, first, -1)],
        "largest change of a score among other words": float(np.abs(scores[-1, 3:, 3:]).max()),
    } | {f"change of score {name} at the end": float(scores[-1][place]) for name, place in pairs.items()}
    shown = times[1:]
    panels = (
        Panel(
            "time",
            "loss of a kind of sentence",
            {name: (shown, losses[1:, kind].mean(axis=1)) for name, kind in zip(names, kinds, strict=True)},
            "xy",
        ),
        Panel(
            "time", "change of the score", {name: (shown, scores[1:][:, i, j]) for name, (i, j) in pairs.items()}, "x"
        ),
        Panel("time", "margin $G$ of a word", {f"word {i + 1}": (shown, G[1:, i]) for i in range(3)}, "x"),
    )
    return Findings(numbers, panels)


@_study.register
def _(model: spec.DiagonalModel, settings):
    inputs = model.data()["inputs"]
    ends = {norm: _unit(references.max_margin(inputs, norm)) for norm in (1, 2)}
    numbers, curves = {"l1 direction": ends[1].tolist(), "l2 direction": ends[2].tolist()}, {1: {}, 2: {}}
    for scale in settings.scales:
        path = solve(model.replace(scale=scale), settings.accuracies, clock="accuracy")
        beta, margins = coefficients(path), path.predicted.min(axis=1)
        directions = np.array([_unit(one) for one in beta])
        digits = np.array(settings.accuracies) / np.log(10)
        for norm, end in ends.items():
            curves[norm][f"scale {scale:g}"] = digits, np.linalg.norm(directions - end, axis=1)
            numbers[f"scale {scale:g}: distance from the l{norm} direction"] = curves[norm][f"scale {scale:g}"][
                1
            ].tolist()
        if model.depth == 2:
            # the minimizer is asked for where the margin is positive
            gaps = [
                float(np.linalg.norm(one - _unit(references.entropy_margin(inputs, scale**2 / margin))))
                for one, margin in zip(directions, margins, strict=True)
                if margin > 1
            ]
            numbers[f"scale {scale:g}: distance from the minimizer of Q_mu"] = gaps
    label = "digits of accuracy, $-\\log_{10}$ loss"
    return Findings(numbers, tuple(Panel(label, f"distance from the l{n} direction", curves[n], "xy") for n in (2, 1)))


@_study.register
def _(model: spec.SparseModel, settings):
    losses = {"combined": [], "smallest l1": [], "smallest l2": []}
    for seed in range(settings.seeds):
        one = model.replace(seed=seed)
        data = one.data()
        path = solve(one, [settings.t_end], rtol=1e-6)
        if path.log_loss[-1] > np.log(1e-8):
            raise ConvergenceError(f"The loss is {path.loss[-1]:.1e} at time {settings.t_end:g}; make t_end larger.")
        found = {"combined": coefficients(path)[-1]}
        found |= {f"smallest l{n}": references.interpolator(data["inputs"], data["targets"], n) for n in (1, 2)}
        for name, beta in found.items():
            losses[name].append(float(np.sum((beta - data["teacher"]) ** 2)))
    attainable = model.noise**2 * model.sparsity * np.log(model.dim / model.sparsity) / model.samples
    numbers = {f"test loss, {name}": values for name, values in losses.items()}
    numbers |= {f"mean test loss, {name}": float(np.mean(values)) for name, values in losses.items()}
    numbers["attainable order sigma^2 s log(d/s)/n"] = float(attainable)
    seeds = np.arange(settings.seeds)
    curves = {name: (seeds, np.array(values)) for name, values in losses.items()}
    curves["attainable order"] = seeds, np.full(settings.seeds, attainable)
    return Findings(numbers, (Panel("data set", "test loss $|\\beta - \\beta^*|^2$", curves, "y", marks=True),))


@_study.register
def _(model: spec.UnivariateModel, settings):
    data = model.data()
    points, product = np.linspace(data["x"][0], data["x"][-1], 400), model.inner * model.outer
    functions = {"natural cubic spline": (points, references.natural_spline(model, points))}
    numbers, knots = {}, {}
    for ratio in settings.scales:
        one = model.replace(inner=(product / ratio) ** 0.5, outer=(product * ratio) ** 0.5)
        # neurons move at rates that grow with both layers
        path = solve(one, [settings.t_end / (one.inner**2 + one.outer**2)], rtol=1e-3)
        r, theta = path.state["r"][-1], path.state["theta"][-1]
        at, bend = np.tan(theta), np.abs(r * np.cos(theta))
        inside = (at > points[0]) & (at < points[-1])
        value = _network(points, r, theta)
        near = np.abs(at[:, None] - data["x"]).min(axis=1) < 0.01
        order_ = np.sort(bend[inside])[::-1]
        name = f"outer/inner {ratio:g}"
        numbers |= {
            f"{name}: loss": float(path.loss[-1] / one.width),
            f"{name}: share of knots at samples": float(np.mean(near[inside])),
            f"{name}: places that hold 95% of the bending": _places(at[inside], bend[inside]),
            f"{name}: distance from the natural cubic spline": float(
                np.abs(value - functions["natural cubic spline"][1]).max()
            ),
            f"{name}: distance from the kernel's interpolant": float(
                np.abs(value - references.kernel_interpolant(one, points)).max()
            ),
        }
        functions[name] = points, value
        sort = np.argsort(at[inside])
        knots[name] = at[inside][sort], np.cumsum(bend[inside][sort]) / order_.sum()
    return Findings(numbers, (Panel("$x$", "$f(x)$", functions), Panel("knot", "share of the bending below it", knots)))


@_study.register
def _(model: spec.CompletionModel, settings):
    numbers, ranks, ratios = {}, {}, {}
    for depth in settings.depths:
        name = f"depth {depth}" if depth else "infinite depth"
        found = []
        for scale in settings.scales:
            # singular values grow at the rate sigma^{2 - 2/N}: a small start leaves in the time of this power
            leaving = scale ** (2 / depth - 1) if depth else 1 / scale
            path = solve(model.replace(depth=depth, scale=scale), [settings.t_end + 10 * leaving], rtol=1e-8)
            if path.log_loss[-1] > np.log(1e-10):
                raise ConvergenceError(f"{name}, scale {scale:g}: the loss is {path.loss[-1]:.1e}; make t_end larger.")
            sigma = np.linalg.svd(path.predicted[-1], compute_uv=False)
            found.append((references.effective_rank(path.predicted[-1]), sigma[-1] / sigma[0]))
        rank, ratio = np.array(found).T
        ranks[name], ratios[name] = (settings.scales, rank), (settings.scales, ratio)
        numbers |= {
            f"{name}: effective rank": rank.tolist(),
            f"{name}: smallest over largest singular value": ratio.tolist(),
        }
    panels = (
        Panel("scale of the start", "effective rank", ranks, "x", True),
        Panel("scale of the start", "$\\sigma_d/\\sigma_1$", ratios, "xy", True),
    )
    return Findings(numbers, panels)


def volume_density(model: spec.CompletionModel, W: np.ndarray) -> float:
    """sqrt(det g^N) at the matrix W: state-space volume per volume of entries, of a completion `model` of its depth."""
    sigma = np.linalg.svd(W, compute_uv=False)
    metric = compile_expression(derive(model).functions["metric"], (completion.p, completion.t))
    a = np.asarray(metric(sigma[:, None], sigma[None, :]), float)
    above = np.triu_indices(len(sigma), 1)
    return float(np.prod(np.diag(a)) ** -0.5 / np.prod(a[above]))


def _network(points, r, theta) -> np.ndarray:
    hidden = np.maximum(np.outer(points, np.cos(theta)) - np.sin(theta), 0)
    return hidden @ r / r.size


def _places(knots: np.ndarray, bend: np.ndarray) -> int:
    """Bins of width 0.01 that hold 95% of the bending, most bent first."""
    bins = np.unique(np.round(knots / 0.01), return_inverse=True)[1]
    held = np.sort(np.bincount(bins, bend))[::-1]
    return int(np.searchsorted(np.cumsum(held), 0.95 * held.sum()) + 1)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
