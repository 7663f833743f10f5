"""A study's numbers: as JSON, and as the short table the command line prints."""

import dataclasses
import math

import numpy as np

from steode._version import __version__
from steode.studies.report.results import CaseResult, StudyResult
from steode.studies.report.study import nearest
from steode.systems.linear.plateau import Plateaus
from steode.systems.linear.trajectory import device_name

ACCEPTED_Z = 4.0
"""Largest |z| at which limit and simulation are said to agree."""
NO_NUMBERS = ("model", "problems", "force")
"""Fields of a fixed point that are left out: the specification stands beside it, and the others follow from it."""


def summarize(results: list[StudyResult], complete: bool) -> dict:
    """Everything worth keeping in plain numbers; what is not finite is null."""
    studies = [
        {
            "name": result.study.name,
            "title": result.study.title,
            "settings": dataclasses.asdict(result.study.settings),
            "parameter": result.study.parameter,
            "cases": [_case(result, case) for case in result.cases],
        }
        for result in results
    ]
    return _plain({"version": __version__, "device": device_name(), "complete": complete, "studies": studies})


def table(result: StudyResult) -> str:
    """Limit against simulation at the study's table times, then plateaus and fixed points, for every case."""
    lines = [f"{result.study.name}: {result.study.title}"]
    for case in result.cases:
        compared = case.comparison
        lines.append("")
        if case.case.label:
            lines.append(f"  {case.case.label}")
        lines.append(f"  {'tau':>8} {'limit':>10} {'simulation':>11} {'gap':>10} {'std. error':>11} {'z':>7}")
        for index in nearest(compared.times, result.study.settings.table_times):
            lines.append(
                f"  {compared.times[index]:8g} {compared.theory[index]:10.5f} {compared.simulation[index]:11.5f} "
                f"{compared.gap[index]:10.5f} {compared.standard_error[index]:11.5f} {compared.z[index]:7.2f}"
            )
        verdict = "agree" if compared.largest_z < ACCEPTED_Z else "DISAGREE"
        lines.append(
            f"  limit and simulation {verdict}: largest |z| {compared.largest_z:.2f} over {compared.times.size} times"
        )
        lines += [f"  {line}" for line in remarks(case)]
    return "\n".join(lines)


def remarks(case: CaseResult) -> list[str]:
    """Plateau and fixed points in words."""
    lines = []
    if len(case.plateaus) or len(case.run_plateaus):
        estimate = f", analytic estimate {case.estimate.length:.4g}" if case.estimate else ""
        lines.append(
            f"plateau: limit {_length(case.plateaus)}, simulation {_length(case.run_plateaus)} (std over seeds "
            f"{case.run_plateaus.spread:.2g}){estimate}"
        )
    else:
        reason = case.plateaus.reason
        lines.append("plateau: none" + (f", for {reason}" if reason else ""))
    for point in case.fixed_points or ():
        lines.append(
            f"fixed point: eps_g {point.eps_g:.5f} = input {point.input_term:.5f} + dithering "
            f"{point.dithering_term:.5f} + clipping {point.clipping_term:.5f} ({point.kind})"
        )
    return lines


def _length(found: Plateaus) -> str:
    return f"{found.length:.4g}" if len(found) else "none"


def _case(result: StudyResult, case: CaseResult) -> dict:
    compared = case.comparison
    index = nearest(compared.times, result.study.settings.table_times)
    columns = ("times", "theory", "simulation", "gap", "standard_error", "z")
    points = None
    if case.fixed_points is not None:
        points = [
            {
                field.name: getattr(point, field.name)
                for field in dataclasses.fields(point)
                if field.name not in NO_NUMBERS
            }
            for point in case.fixed_points
        ]
    return {
        "label": case.case.label,
        "value": case.case.value,
        "specification": case.theory.provenance.specification,
        "eps_g": {name: getattr(compared, name)[index].tolist() for name in columns},
        "largest_z": compared.largest_z,
        "plateaus": {
            "limit": [dataclasses.asdict(item) | {"length": item.length} for item in case.plateaus],
            "simulation": [dataclasses.asdict(item) | {"length": item.length} for item in case.run_plateaus],
            "simulation_spread": case.run_plateaus.spread,
            "estimate": None if case.estimate is None else dataclasses.asdict(case.estimate),
        },
        "fixed_points": points,
        "notes": list(case.notes),
        "seconds": case.seconds,
    }


def _plain(value):
    """JSON knows neither nan nor infinity: null stands for them."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value
