"""The density solver's error estimates against true errors, over models where each part of the scheme is hardest.

The references come from another scheme (`tests/agreement/density_cases.py`). What is asserted of eps_g, in the largest
norm over the times: the tolerance is kept, the true error is at most twice the estimate, and the estimate at most
twenty times the true error, unless that is below a hundredth of the tolerance.

The table of docs/numerics.md, from this folder's density_errors.json, is measured by

    python -m tests.agreement.test_density_errors [MODEL ...]
"""

import json
import pathlib
import sys

import numpy as np
import pytest

from steode import solve
from tests.agreement.density_cases import CASES, FILE, reference_case
from tests.agreement.finite_elements import solve as solve_by_elements

MEASURED = pathlib.Path(__file__).with_name("density_errors.json")
PAGE = pathlib.Path(__file__).parents[2] / "docs" / "numerics.md"
TOLERANCES = (1e-3, 1e-4, 1e-5)
TOLERANCES_WITH_ROWS = (3e-3, 1e-3, 1e-4)
"""With a Gaussian teacher: every halving of the error costs eight times the work."""
TOLERANCES_OF_RECOVERY = (1e-3, 3e-4, 1e-4)
"""Where V vanishes the scheme is of first order."""
FAR_BELOW = 0.01
"""Fraction of the tolerance below which true errors are not resolved by the estimate."""


def tolerances(name: str) -> tuple[float, ...]:
    """Those asked of a case."""
    if "recovery" in name:
        return TOLERANCES_OF_RECOVERY
    return TOLERANCES_WITH_ROWS if "teacher" in name else TOLERANCES


ALL = [(name, tolerance) for name in CASES for tolerance in tolerances(name)]
SHORT = {("clipped", 1e-4), ("recovery on the last level", 1e-3)}


def measure(name: str, tolerance: float) -> dict[str, float]:
    """Largest true and estimated error of eps_g over the case's times, relative to its largest value."""
    model, times, _ = CASES[name]
    known = json.loads(FILE.read_text())[name]
    trajectory = solve(model, times[-1], times=(0.0, *times), method="density", tolerance=tolerance)
    scale = trajectory["eps_g"].max()
    true = np.abs(trajectory["eps_g"][1:] - known["eps_g"]) / scale
    estimate, uncertain = trajectory.error["eps_g"][1:] / scale, max(known["change"]) / scale
    # at single times too the estimate holds, up to a part of its largest value where it crosses zero
    excess = np.max(true - 2 * estimate - 0.25 * estimate.max() - uncertain)
    return {
        "true": float(true.max()),
        "estimate": float(estimate.max()),
        "uncertain": float(uncertain),
        "excess": float(excess),
    }


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [pytest.param(*case, marks=pytest.mark.representative if case in SHORT else ()) for case in ALL],
)
def test_estimate_is_the_error_and_the_tolerance_is_kept(name, tolerance):
    found = measure(name, tolerance)
    true, estimate, uncertain = found["true"], found["estimate"], found["uncertain"]
    assert true <= tolerance + uncertain
    assert true <= 2 * estimate + uncertain
    assert estimate <= 20 * max(true, FAR_BELOW * tolerance)
    assert found["excess"] <= 0


def test_references_are_those_of_the_finite_elements():
    """A stored reference is computed again, on the coarser of its two meshes."""
    model, times, _ = CASES["weight decay"]
    stored = json.loads(FILE.read_text())["weight decay"]
    again = solve_by_elements(reference_case(model), np.array(times), 1, 200)
    assert np.all(np.abs(again - stored["eps_g"]) <= np.array(stored["change"]) + 1e-9)


def test_table_on_the_page_is_the_measured_one():
    page, measured = PAGE.read_text(), json.loads(MEASURED.read_text())
    assert len(measured) == len(ALL)
    for row in measured:
        assert _line(row) in page


def _line(row) -> str:
    numbers = " | ".join(f"{row[key]:.1e}" for key in ("tolerance", "true", "estimate"))
    return f"| {row['model']} | {numbers} |"


def main(names: list[str]) -> None:
    """Measure the named models, all if none is named, and write the file and, to the screen, the table."""
    known = json.loads(MEASURED.read_text()) if MEASURED.exists() else []
    rows = {(row["model"], row["tolerance"]): row for row in known}
    for name, tolerance in ALL:
        if not names or name in names:
            rows[name, tolerance] = {"model": name, "tolerance": tolerance} | measure(name, tolerance)
            print(_line(rows[name, tolerance]), flush=True)
            MEASURED.write_text(json.dumps([rows[key] for key in ALL if key in rows], indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
