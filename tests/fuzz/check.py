"""What must hold of a specification: it is described truly, read back as itself, derived, and solved rightly."""

import json
import math
import warnings

import jax
import numpy as np

import steode
from steode import binary_relu, classification, regression
from steode.systems.linear import configuration
from tests.fuzz.linear_check import check_linear
from tests.fuzz.other_checks import check_binary_relu, check_classification, check_regression
from tests.fuzz.report import Report
from tests.fuzz.specifications import Specification

FILES = {
    "linear": configuration,
    "regression": regression,
    "binary_relu": binary_relu,
    "classification": classification,
}
"""Modules with the `to_dict` and `from_dict` of each system."""
SOLVED = {
    "linear": check_linear,
    "regression": check_regression,
    "binary_relu": check_binary_relu,
    "classification": check_classification,
}
SHOWN = 8
"""Longest list whose numbers a `repr` must show."""


def check(specification: Specification, *, solve: bool) -> Report:
    """Construct, describe and derive a specification; with `solve` go through its limit and its runs as well.

    Nothing but a `SteodeError` may stop it: warnings count as errors, and other exceptions are caught and reported.
    """
    report = Report(specification.seed, specification.system, specification.mode)
    with warnings.catch_warnings(), jax.numpy_rank_promotion("raise"):
        warnings.simplefilter("error")
        model = report.attempt("construct", specification.build)
        if model is None:
            _refused_by_the_reader_too(report, specification)
            return report
        report.attempt("describe", _describe, report, specification, model, refusable=False)
        if report.attempt("derive", steode.derive, model) is not None and solve:
            if report.status == "constructed":
                report.status = "right"
            check_solved = SOLVED[specification.system]
            report.attempt("check", check_solved, report, specification, model, refusable=False)
    return report


def _describe(report: Report, specification: Specification, model) -> None:
    text, files = repr(model), FILES[specification.system]
    missing = [entry for entry in _entries(specification.table) if not _shown(entry, text)]
    if report.mode != "moderate":
        # NumPy prints arrays in the units of their largest number
        missing = [entry for entry in missing if not isinstance(entry, float)]
    report.expect(not missing, f"repr: {missing} not in {text[:500]}")
    report.expect(len(text) < 20_000, f"repr: {len(text)} characters")
    report.expect(model.replace() == model, "replace: a copy without changes is another model")
    report.expect(hash(model.replace()) == hash(model), "hash: a copy without changes has another")
    table = files.to_dict(model)
    json.dumps(table, allow_nan=False)
    again = files.from_dict(table)
    report.expect(again == model, f"round trip: {again!r:.400} from {model!r:.400}")
    report.expect(files.to_dict(again) == table, "round trip: the dictionary of what was read is another")
    # a dictionary lists what a class would take as given
    read = files.from_dict(specification.table)
    report.expect(read == model, f"reading the table: {read!r:.400} instead of {model!r:.400}")


def _refused_by_the_reader_too(report: Report, specification: Specification) -> None:
    if report.status != "refused":
        return
    try:
        FILES[specification.system].from_dict(specification.table)
    except steode.SteodeError:
        return
    except Exception as error:
        report.expect(False, f"reading: {type(error).__name__} where the constructor refuses: {str(error)[:300]}")
        return
    report.expect(False, f"reading: accepts what the constructor refuses ({report.reason})")


def _entries(table, name: str = "type") -> list:
    """Numbers and names of types in nested tables, without those of long lists."""
    if isinstance(table, dict):
        # a direction is shown as the unit vector it is scaled to
        inside = ((key, value) for key, value in table.items() if key != "filter_teacher")
        return [entry for key, value in inside for entry in _entries(value, key)]
    if isinstance(table, list):
        return [entry for value in table for entry in _entries(value)] if len(table) <= SHOWN else []
    # what is not given, and names that may be the usual ones, need not be shown
    return [table] if name == "type" or not isinstance(table, str | None) else []


def _shown(entry, text: str) -> bool:
    if isinstance(entry, bool | str):
        return isinstance(entry, bool) or entry in text
    number = float(entry)
    forms = (repr(number), repr(entry), np.format_float_positional(number, precision=8, trim="-"))
    return any(form in text for form in forms) or number in (0.0, 1.0) or math.isnan(number)
