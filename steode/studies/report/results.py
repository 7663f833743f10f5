"""Carrying out a study: every case derived, solved, simulated and compared, and each result written at once."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator

from steode.errors import UnsupportedError
from steode.studies.report import documents
from steode.studies.report.folder import ResultsFolder
from steode.studies.report.study import Case, Study, record_times
from steode.symbolic.limit import Limit
from steode.systems.linear.compare import Comparison, compare
from steode.systems.linear.derive import derive
from steode.systems.linear.fixed_points import FixedPoints, fixed_points
from steode.systems.linear.plateau import Plateaus, plateau
from steode.systems.linear.plateau_estimate import PlateauEstimate, plateau_estimate
from steode.systems.linear.simulate import simulate
from steode.systems.linear.solve import solve
from steode.systems.linear.trajectory import Trajectory


@dataclasses.dataclass(frozen=True)
class CaseResult:
    """All that was found about one model of a study.

    `estimate` and `fixed_points` are None where the model has none; `notes` says why. `seconds` is wall time by step.
    """

    case: Case
    limit: Limit
    theory: Trajectory
    runs: Trajectory
    comparison: Comparison
    plateaus: Plateaus
    run_plateaus: Plateaus
    estimate: PlateauEstimate | None
    fixed_points: FixedPoints | None
    notes: tuple[str, ...]
    seconds: dict[str, float]


@dataclasses.dataclass(frozen=True)
class StudyResult:
    """A study and the results of those of its cases that are finished."""

    study: Study
    cases: tuple[CaseResult, ...]


def run_study(study: Study, folder: ResultsFolder, say: Callable[[str], None]) -> Iterator[StudyResult]:
    """Carry out a study, yielding the result so far after every case.

    Data and derivations are written to `folder` in a subfolder of the study's name, before the next computation begins.
    `say` is told what is being done. Raises `KeyboardInterrupt` after saving what an interrupted simulation recorded.
    """
    done = []
    for case in study.cases:
        done.append(_run_case(study, case, folder, say))
        yield StudyResult(study, tuple(done))


def file_name(stem: str, study: Study, case: Case, suffix: str = "") -> str:
    """Where a study's file lies in the results folder, for example plateau/limit-range-2.nc."""
    return f"{study.name}/{'-'.join(part for part in (stem, case.slug) if part)}{suffix}"


def _run_case(study: Study, case: Case, folder: ResultsFolder, say) -> CaseResult:
    settings, model, notes, seconds = study.settings, case.model, [], {}
    where = f"{study.name}" + (f", {case.label}" if case.label else "")

    @contextlib.contextmanager
    def step(name: str):
        say(f"{where}: {name}")
        begin = time.perf_counter()
        yield
        seconds[name] = round(time.perf_counter() - begin, 3)

    with step("derive"):
        limit = derive(model)
        for suffix in (".md", ".tex"):
            text = documents.FORMATS[suffix](study.title, limit.derivation)
            folder.text(file_name("derivation", study, case, suffix), text)
    with step("fixed points"):
        points = _if_supported(lambda: fixed_points(model), notes)
        estimate = _if_supported(lambda: plateau_estimate(model), notes)
    times = record_times(settings)
    with step("solve"):
        snapshot_times = settings.snapshot_times if settings.method == "density" else ()
        theory = solve(
            model, settings.t_end, times=times, method=settings.method, tolerance=settings.tolerance,
            snapshot_times=snapshot_times, **settings.remedies,
        )  # fmt: skip
        folder.trajectory(file_name("limit", study, case, ".nc"), theory)
    with step("simulate"):
        runs = simulate(
            model, settings.dim, settings.t_end, seeds=settings.seeds, key=settings.key, times=times,
            snapshot_times=settings.snapshot_times, **settings.remedies,
        )  # fmt: skip
        folder.trajectory(file_name("simulation", study, case, ".nc"), runs)
        if runs.provenance.settings["interrupted"]:
            raise KeyboardInterrupt
    with step("compare"):
        comparison = compare(theory, runs)
        found = [plateau(trajectory, tolerance=settings.plateau_tolerance) for trajectory in (theory, runs)]
    return CaseResult(case, limit, theory, runs, comparison, *found, estimate, points, tuple(notes), seconds)


def _if_supported(compute, notes: list[str]):
    try:
        return compute()
    except UnsupportedError as error:
        notes.append(str(error))
        return None
