"""Random specifications of every system: construct, describe, read back, derive; of some solve, simulate, compare.

    python -m tests.fuzz --count 1450 --solve 475 --seed 0 --minutes 55
    python -m tests.fuzz --only 123        # one seed again, solved, in this process

Every specification has to come out right, or be refused by a `SteodeError`. What does not is a finding, in a JSON file.
"""

import argparse
import collections
import json
import pathlib
import sys
import time

from tests.fuzz.report import STATUSES, Report
from tests.fuzz.specifications import SYSTEMS, specification
from tests.fuzz.workers import Task, run_tasks, specification_report

WHOLE = ("wrong", "gave up")
"""Those of which the file holds everything; of the others it holds a line."""


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 1 if anything is wrong."""
    options = _options(arguments)
    if options.only is not None:
        return _only(options)
    every = range(options.seed, options.seed + options.count)
    tasks = [Task(seed, options.system, _is_solved(seed - options.seed, options)) for seed in every]
    begin = time.monotonic()
    path = pathlib.Path(options.findings)
    reports: list[Report] = []
    try:
        for report in run_tasks(tasks, options.workers, options.seconds, begin + 60 * options.minutes):
            reports.append(report)
            if report.status in WHOLE:
                _write(path, reports)
            _progress(reports, len(tasks), time.monotonic() - begin)
    except KeyboardInterrupt:
        print("\ninterrupted: what is done is reported", file=sys.stderr)
    print(file=sys.stderr)
    reports.sort(key=lambda report: report.seed)
    _write(path, reports)
    print(summary(reports, len(tasks), time.monotonic() - begin))
    print(f"findings, those that gave up, and one line of every other: {options.findings}")
    return int(any(report.status == "wrong" for report in reports))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1450, help="specifications to draw")
    parser.add_argument("--solve", type=int, default=475, help="how many of them to solve and simulate, evenly spread")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--system", choices=list(SYSTEMS), help="of one system only")
    parser.add_argument("--minutes", type=float, default=55.0, help="nothing is begun after so many")
    parser.add_argument("--workers", type=int, default=2, help="processes; the reports do not depend on it")
    parser.add_argument("--seconds", type=float, default=240.0, help="limit of one specification")
    parser.add_argument("--findings", default="results/fuzz.json", help="where to write what is wrong")
    parser.add_argument("--only", type=int, metavar="SEED", help="one seed, solved, and all that is known of it")
    return parser.parse_args(arguments)


def _is_solved(number: int, options: argparse.Namespace) -> bool:
    return (number + 1) * options.solve // options.count > number * options.solve // options.count


def _only(options: argparse.Namespace) -> int:
    print(json.dumps(specification(options.only, options.system).table, default=repr))
    report = specification_report(Task(options.only, options.system, solve=True))
    for name, value in report.as_dict().items():
        if name == "problems":
            print("\n".join(f"WRONG {problem}" for problem in value))
        else:
            print(f"{name}: {value}")
    return int(report.status == "wrong")


def _progress(reports: list[Report], total: int, seconds: float) -> None:
    counts = collections.Counter(report.status for report in reports)
    shown = ", ".join(f"{counts[status]} {status}" for status in STATUSES)
    print(f"\r{len(reports)} of {total}, {seconds / 60:.1f} min: {shown}   ", end="", file=sys.stderr, flush=True)


def _write(path: pathlib.Path, reports: list[Report]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [
        report.as_dict() | {"table": specification(report.seed, report.system).table}
        for report in reports
        if report.status in WHOLE
    ]
    others = [
        [report.seed, report.system, report.status, report.reason, report.z, sum(report.seconds.values())]
        for report in reports
        if report.status not in WHOLE
    ]
    path.write_text(json.dumps({"findings": found, "others": others}, indent=1, default=repr), encoding="utf-8")


def summary(reports: list[Report], total: int, seconds: float) -> str:
    """The table that a run prints."""
    rows = [f"{'system':16}{'drawn':>8}" + "".join(f"{status:>13}" for status in STATUSES)]
    for system in SYSTEMS:
        own = collections.Counter(report.status for report in reports if report.system == system)
        if own:
            rows.append(f"{system:16}{own.total():8d}" + "".join(f"{own[status]:13d}" for status in STATUSES))
    counts = collections.Counter(report.status for report in reports)
    rows.append(f"{'all':16}{counts.total():8d}" + "".join(f"{counts[status]:13d}" for status in STATUSES))
    for status in ("refused", "gave up"):
        reasons = collections.Counter(report.reason for report in reports if report.status == status)
        rows += ["", f"{status}:", *(f"{count:6d}  {reason}" for reason, count in reasons.most_common())]
    wrong = [report for report in reports if report.status == "wrong"]
    rows += ["", f"wrong: {len(wrong)}"]
    rows += [f"{report.seed:6d}  {report.system}, {report.mode}: {report.problems[0][:160]!r}" for report in wrong]
    verbs = collections.Counter()
    for report in reports:
        verbs.update({verb: taken for verb, taken in report.seconds.items() if verb != "check"})
    shown = ", ".join(f"{verb} {taken:.0f}" for verb, taken in verbs.most_common())
    compared = sorted(report.z for report in reports if report.z == report.z)
    if compared:
        rows += [
            "",
            f"largest |z| of {len(compared)} compared: {compared[-1]:.2f}, median {compared[len(compared) // 2]:.2f}",
        ]
    rows += ["", f"{len(reports)} of {total} in {seconds / 60:.1f} minutes; seconds by verb: {shown}"]
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
