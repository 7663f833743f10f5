"""Many specifications in worker processes, which may hang, leak memory or crash: then one of them is lost, and said so.

What is done with a seed depends on the seed alone, so that the reports do not depend on the number of workers.
"""

import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator

from tests.fuzz.report import Report
from tests.fuzz.specifications import GROUP, specification

RESTART_AFTER = 60
"""Solved specifications after which a worker is replaced: compiled programs are never given back."""
MEMORY = 3_000_000
"""Kilobytes of a worker's memory after which it is replaced."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One seed: of which system (None: the seed's own), and whether it is solved."""

    seed: int
    system: str | None
    solve: bool


def specification_report(task: Task) -> Report:
    """The report of one task, in this process."""
    # imported here, so that the process that hands out tasks compiles nothing
    from tests.fuzz.check import check

    return check(specification(task.seed, task.system), solve=task.solve)


def run_tasks(
    tasks: Iterable[Task],
    workers: int,
    seconds: float,
    deadline: float,
    work: Callable[[Task], Report] = specification_report,
) -> Iterator[Report]:
    """Reports of the tasks, in the order in which they are done; tasks of one group go to one worker, one by one.

    `seconds` is the limit of one task; no task is begun after `deadline`, of `time.monotonic`.
    """
    groups: dict[int, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.seed // GROUP, []).append(task)
    waiting = list(groups.values())[::-1]
    crew = [_Worker(work) for _ in range(workers)]
    try:
        while True:
            for worker in crew:
                if worker.idle and not worker.queue and waiting:
                    worker.queue = waiting.pop()[::-1]
                if worker.idle and worker.queue and time.monotonic() < deadline:
                    worker.begin(worker.queue.pop())
            busy = [worker for worker in crew if not worker.idle]
            if not busy:
                return
            multiprocessing.connection.wait([worker.connection for worker in busy], timeout=1.0)
            for worker in busy:
                report = worker.poll(seconds)
                if report is not None:
                    yield report
    finally:
        for worker in crew:
            worker.stop()


class _Worker:
    """A process of its own that is given one task at a time, and a new one where it was lost."""

    def __init__(self, work: Callable[[Task], Report]):
        self.work = work
        self.queue: list[Task] = []
        self.task: Task | None = None
        self.process = None

    @property
    def idle(self) -> bool:
        return self.task is None

    def begin(self, task: Task) -> None:
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.connection, theirs = context.Pipe()
            self.process = context.Process(target=_serve, args=(theirs, self.work), daemon=True)
            self.process.start()
            theirs.close()
            self.connection.recv()  # ready: importing counts against no task
        self.task, self.begun = task, time.monotonic()
        self.connection.send(task)

    def poll(self, seconds: float) -> Report | None:
        """The report of the task, if there is one by now, or of its loss."""
        problem = None
        try:
            if self.connection.poll():
                report, replace = self.connection.recv()
                self.task = None
                if replace:
                    self.stop()
                return report
        except (EOFError, ConnectionResetError):
            self.process.join()
            problem = f"crash: the process ended with {self.process.exitcode}"
        if problem is None and time.monotonic() - self.begun > seconds:
            problem = f"hang: not done after {seconds:g} s"
        if problem is None:
            return None
        self.stop()
        task, self.task = self.task, None
        known = specification(task.seed, task.system)
        return Report(task.seed, known.system, known.mode, "wrong", problems=[problem])

    def stop(self) -> None:
        if self.process is not None:
            self.connection.close()
            # one that waits for a task ends by itself
            self.process.join(5.0 if self.idle else 0.0)
            self.process.kill()
            self.process.join()
            self.process = None


def _serve(connection, work: Callable[[Task], Report]) -> None:
    os.environ.setdefault("MPLBACKEND", "Agg")
    import tests.fuzz.check  # noqa: F401

    connection.send("ready")
    solved = 0
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        report = work(task)
        solved += task.solve
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        report.notes["memory"] = memory
        connection.send((report, solved >= RESTART_AFTER or memory > MEMORY))
