"""Random specifications come out right or are refused; and the harness that says so can say otherwise."""

import dataclasses
import json
import os
import time
import warnings

import numpy as np
import pytest

from steode import simulate, solve
from tests.fuzz import check as check_module
from tests.fuzz import linear_check, other_checks
from tests.fuzz.__main__ import main
from tests.fuzz.check import check
from tests.fuzz.report import Report
from tests.fuzz.specifications import GROUP, SYSTEMS, Specification, specification
from tests.fuzz.workers import Task, run_tasks

CONSTRUCTED = range(50_000, 50_400)
SOLVED = range(60_000, 60_000 + 4 * GROUP)
REPRESENTATIVE = (60_011,)
PLAIN = Specification(
    seed=0,
    system="linear",
    mode="moderate",
    table={
        "weight_quantizer": {"type": "Uniform", "bits": 2, "range": 1.5},
        "teacher": {"type": "TwoPoint", "value": 1.0},
        "init": {"type": "TwoPoint", "value": 0.4},
        "learning_rate": 0.3,
        "noise": 0.2,
    },
)
"""A specification in which nothing is out of the ordinary."""


@pytest.mark.representative
def test_specifications_are_described_and_read_back_or_refused():
    reports = [check(specification(seed), solve=False) for seed in CONSTRUCTED[::20]]
    assert [report for report in reports if report.status == "wrong"] == []
    counts = [sum(report.status == status for report in reports) for status in ("constructed", "refused")]
    assert min(counts) > 3
    assert sum(counts) == len(reports)
    assert {report.system for report in reports} == set(SYSTEMS)


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[pytest.mark.representative] * (seed in REPRESENTATIVE)) for seed in SOLVED],
)
def test_the_limit_is_right_or_refused(seed):
    report = check(specification(seed), solve=True)
    assert report.status in ("right", "refused"), report
    assert not report.z >= 5, report  # NaN where there was nothing to compare


def as_text(table: dict) -> str:
    return json.dumps(table, default=repr)


def test_a_specification_is_a_function_of_its_seed():
    forward = [as_text(specification(seed).table) for seed in range(60)]
    backward = [as_text(specification(seed).table) for seed in reversed(range(60))]
    assert forward == backward[::-1]
    assert len(set(forward)) > 55


def test_reports_do_not_depend_on_the_number_of_workers():
    # of different groups, so that both workers have some
    tasks = [Task(seed, None, False) for seed in range(0, 6 * GROUP, 7)]
    found = []
    for workers in (1, 2):
        reports = sorted(run_tasks(tasks, workers, 60.0, np.inf), key=lambda report: report.seed)
        found.append([(report.seed, report.status, report.reason, report.problems) for report in reports])
    assert found[0] == found[1]
    assert len(found[0]) == len(tasks)


def test_a_wrong_limit_is_found(monkeypatch):
    """A noise or a rate that is off by a third, or a mass that is not 1, in what `solve` returns."""
    assert check(PLAIN, solve=True).status == "right"

    def faster(model, *arguments, **options):
        return dataclasses.replace(
            solve(model.replace(learning_rate=1.33 * model.learning_rate), *arguments, **options),
            provenance=solve(model, *arguments, **options).provenance,
        )

    def leaking(model, *arguments, **options):
        limit = solve(model, *arguments, **options)
        return dataclasses.replace(
            limit, density=dataclasses.replace(limit.density, masses=limit.density.masses * (1 + 1e-9))
        )

    for wrong, problem in ((faster, "extrapolated to infinite d"), (leaking, "mass 1 +")):
        monkeypatch.setattr(linear_check, "solve", wrong)
        report = check(PLAIN, solve=True)
        assert report.status == "wrong"
        assert problem in "\n".join(report.problems)


def raising(*arguments, **options):
    raise ZeroDivisionError("one over nothing")


def warning(*arguments, **options):
    warnings.warn("this was not quite right", RuntimeWarning, stacklevel=2)


def not_finite(*arguments, **options):
    runs = simulate(*arguments, **options)
    return dataclasses.replace(runs, observables=runs.observables | {"q": runs["q"] * np.nan})


@pytest.mark.parametrize(
    ("module", "name", "wrong", "problem"),
    [
        (linear_check, "fixed_points", raising, "fixed points: ZeroDivisionError"),
        (linear_check, "fixed_points", warning, "fixed points: RuntimeWarning"),
        (linear_check, "simulate", not_finite, "q is not finite"),
        (check_module, "_entries", lambda table: [0.123456], "repr: [0.123456]"),
    ],
)
def test_other_faults_are_found(monkeypatch, module, name, wrong, problem):
    monkeypatch.setattr(module, name, wrong)
    report = check(PLAIN, solve=True)
    assert report.status == "wrong"
    assert problem in "\n".join(report.problems)


@pytest.mark.parametrize(
    ("system", "verb", "quantity"),
    [
        ("regression", "risk", "runs: |z|"),
        ("binary_relu", "gradients", "gradients: loss"),
        ("classification", "gradients", "gradients: loss"),
    ],
)
def test_wrong_expectations_of_the_other_systems_are_found(monkeypatch, system, verb, quantity):
    module = getattr(other_checks, system)
    right = getattr(module, verb)
    chosen = next(
        candidate
        for candidate in (specification(seed, system) for seed in range(0, 40 * GROUP, GROUP))
        if candidate.mode == "moderate" and check(candidate, solve=True).z > 0
    )

    def wrong(*arguments, **options):
        found = right(*arguments, **options)
        if system == "regression":
            return dataclasses.replace(found, values=found.values | {"raw_average": 1.5 * found["raw_average"]})
        return dataclasses.replace(found, loss=1.5 * found.loss)

    monkeypatch.setattr(module, verb, wrong)
    report = check(chosen, solve=True)
    assert report.status == "wrong"
    assert quantity in "\n".join(report.problems)


def work(task: Task) -> Report:
    """The first seed hangs, the second crashes, the others are done."""
    if task.seed == 0:
        time.sleep(1000)
    if task.seed == 1:
        os._exit(3)
    return Report(task.seed, "linear", "moderate")


def test_what_hangs_or_crashes_is_lost_alone():
    tasks = [Task(seed, "linear", True) for seed in range(4)]
    reports = {report.seed: report for report in run_tasks(tasks, 1, 2.0, np.inf, work)}
    assert [reports[seed].status for seed in range(4)] == ["wrong", "wrong", "constructed", "constructed"]
    assert "hang" in reports[0].problems[0]
    assert "crash: the process ended with 3" in reports[1].problems[0]


def test_the_command_writes_its_findings_and_repeats_a_seed(tmp_path, capsys):
    path = tmp_path / "found.json"
    assert main(["--count", "12", "--solve", "0", "--workers", "1", "--findings", str(path)]) == 0
    table = capsys.readouterr().out
    assert "12 of 12" in table
    written = json.loads(path.read_text())
    assert written["findings"] == []
    assert len(written["others"]) == 12
    assert main(["--only", str(REPRESENTATIVE[0])]) == 0
    assert "status: right" in capsys.readouterr().out
