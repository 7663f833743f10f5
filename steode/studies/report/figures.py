"""The figures of a study's report."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from steode import plot
from steode.studies.report.results import CaseResult, StudyResult
from steode.studies.report.study import Study

SYMBOLS = {
    "learning_rate": r"\eta",
    "noise": r"\sigma",
    "weight_quantizer.range": r"\omega",
    "weight_quantizer.bits": "b",
    "input_quantizer.range": r"\omega_x",
    "input_quantizer.bits": "b_x",
}
"""On paper, in figures: a varied parameter that stands here; others are written out."""

MOST_PANELS = 12
"""Densities drawn in one figure at most; further cases are left out of it."""

Entry = tuple[str, str, Figure]
"""File name without suffix, caption, figure."""


def figures(result: StudyResult) -> Iterator[Entry]:
    """Every figure the result so far allows."""
    folder = result.study.name
    yield f"{folder}/error", *_error(result)
    yield f"{folder}/gap", *_gap(result)
    if result.cases[0].theory.density is not None:
        yield f"{folder}/density", *_density(result)
    if any(case.fixed_points is not None and len(case.fixed_points) for case in result.cases):
        yield f"{folder}/deviation", *_deviation(result)
    if result.study.parameter == "weight_quantizer.range" and any(len(case.plateaus) for case in result.cases):
        yield f"{folder}/plateau-length", *_plateau_length(result)


def symbol(study: Study, value: float | None) -> str:
    """A case's label in a figure, for example $\\omega = 2$; empty where nothing varies."""
    if study.parameter is None:
        return ""
    if study.parameter in SYMBOLS:
        return f"${SYMBOLS[study.parameter]} = {value:g}$"
    return f"{study.parameter} = {value:g}"


def _figure(width: float = 6.4, height: float = 4.0, rows: int = 1, columns: int = 1):
    # no pyplot: nothing global is changed and no display is needed
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _error(result: StudyResult):
    figure, ((ax,),) = _figure()
    several = len(result.study.cases) > 1
    for number, case in enumerate(result.cases):
        label = symbol(result.study, case.case.value)
        plot.trajectory(case.theory, case.runs, label=label, color=number, ax=ax)
        estimate = case.estimate.length if case.estimate and len(case.plateaus) else None
        plot.plateaus(case.plateaus, estimate, shade=not several, color=number, ax=ax)
    caption = (
        "Generalization error: limit (line) and simulation (markers: mean over seeds; band: one standard deviation)."
    )
    if any(len(case.plateaus) for case in result.cases):
        caption += (
            " Flat stretches are marked, with the plateau's length at the middle of the drop; ticks on the time axis "
            "are the analytic estimate."
        )
    return caption, figure


def _gap(result: StudyResult):
    figure, ((ax,),) = _figure(height=3.2)
    for number, case in enumerate(result.cases):
        plot.gaps(case.comparison, label=symbol(result.study, case.case.value), color=number, ax=ax)
    return (
        "Gap between simulation and limit in standard errors, with lines at 2 and 4. Neighboring times are "
        "correlated, so that a whole stretch may lie on one side."
    ), figure


def _density(result: StudyResult):
    times = result.cases[0].theory.density.times
    cases = result.cases[: max(1, MOST_PANELS // times.size)]
    rows, columns = len(cases), times.size
    figure, panels = _figure(max(6.4, 3.9 * columns), 3.3 * rows, rows, columns)
    for case, row in zip(cases, panels, strict=True):
        for time, ax in zip(times, row, strict=True):
            plot.density(case.theory, time, case.runs, ax=ax)
            label = symbol(result.study, case.case.value)
            ax.set_title(", ".join(part for part in (label, ax.get_title()) if part), fontsize="medium")
    _share_legend(figure)
    return (
        "Law of the latent weights: density of the limit and histogram of the simulated weights of all seeds.",
        figure,
    )


def _share_legend(figure: Figure) -> None:
    """One legend below all panels instead of one in each, where it would cover the peaks."""
    entries = {}
    for ax in figure.axes:
        entries |= {text: handle for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)}
        ax.get_legend().remove()
    figure.legend(entries.values(), entries, loc="outside lower center", ncols=len(entries), frameon=False)


def _deviation(result: StudyResult):
    figure, ((ax,),) = _figure(height=3.6)
    found = {symbol(result.study, case.case.value): case.fixed_points for case in result.cases if case.fixed_points}
    plot.decomposition(found, ax=ax)
    return "Where the error ends: the fixed points of the limit and what their error is made of.", figure


def _plateau_length(result: StudyResult):
    figure, ((ax,),) = _figure(height=3.6)
    cases: tuple[CaseResult, ...] = result.cases
    estimate = [case.estimate.length if case.estimate else np.nan for case in cases]
    plot.plateau_against_range(
        [case.case.value for case in cases],
        [case.plateaus.length for case in cases],
        [case.run_plateaus.length for case in cases],
        spread=[case.run_plateaus.spread for case in cases],
        estimate=estimate,
        ax=ax,
    )
    return "Length of the longest plateau against the quantization range.", figure
