"""What a check of one specification says."""

import dataclasses
import time

import numpy as np

from steode.errors import ConvergenceError, DivergenceError, SpecificationError, SteodeError
from steode.systems.linear.compare import normal_score

LARGEST_Z = 5.0
"""|z| at any one time exceeds it with probability 6e-7 if the limit is right."""
STATUSES = ("constructed", "right", "refused", "gave up", "wrong")


@dataclasses.dataclass
class Report:
    """One specification: what was done, how it ended and what is wrong.

    Attributes
    ----------
    seed, system, mode : of the specification.
    status : "constructed" (and described, and derived), "right" (and solved), "refused" (on purpose, before work),
        "gave up" (on purpose, after work: it did not converge, or diverges), or "wrong".
    reason : of a refusal, or of giving up: the verb and the argument or the first words.
    problems : what is wrong, one text each.
    z : largest |z| of the limit against runs, NaN if they were not compared.
    seconds : by verb.
    notes : counts and numbers for the summary.
    """

    seed: int
    system: str
    mode: str
    status: str = "constructed"
    reason: str = ""
    problems: list[str] = dataclasses.field(default_factory=list)
    z: float = float("nan")
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    notes: dict = dataclasses.field(default_factory=dict)

    def expect(self, holds, problem: str) -> None:
        """Record a problem unless `holds`."""
        if not bool(holds):
            self.problems.append(problem)
            self.status = "wrong"

    def attempt(self, verb: str, function, *arguments, refusable: bool = True, **options):
        """The function's result, or None where it refuses or fails; the time it takes counts under `verb`.

        A refusal is a problem only of what is not `refusable`.
        """
        begin = time.monotonic()
        try:
            return function(*arguments, **options)
        except SteodeError as error:
            if not refusable:
                self.expect(False, f"{verb}: refused at {_innermost(error)}: {str(error)[:300]}")
            elif isinstance(error, ConvergenceError | DivergenceError):
                self._ended("gave up", verb, error)
            else:
                self._ended("refused", verb, error)
        except MemoryError:
            raise
        except Exception as error:
            where = _innermost(error)
            self.expect(False, f"{verb}: {type(error).__name__} at {where}: {str(error)[:300]}")
        finally:
            self.seconds[verb] = self.seconds.get(verb, 0.0) + time.monotonic() - begin
        return None

    def _ended(self, status: str, verb: str, error: SteodeError) -> None:
        named = error.argument if isinstance(error, SpecificationError) else " ".join(str(error).split()[:6])
        self.reason = f"{verb}: {named}"
        self.notes[f"{verb} {status}"] = str(error)[:300]
        self.expect(len(str(error)) < 3000, f"{verb}: an error message of {len(str(error))} characters")
        if self.status != "wrong":
            self.status = status

    def as_dict(self) -> dict:
        """Plain values, for a file."""
        return dataclasses.asdict(self)


def score(gap, standard_error, degrees: int, *, numerical=0.0, resolution=0.0) -> np.ndarray:
    """Normal scores of gaps that are Student with these degrees of freedom; see `steode.compare`.

    `numerical` is no deviation; `resolution` is what one weight, or one sample, changes a mean by.
    """
    excess = np.sign(gap) * np.maximum(np.abs(gap) - numerical, 0)
    spread = np.sqrt(np.asarray(standard_error) ** 2 + resolution**2 + resolution * np.abs(excess))
    with np.errstate(divide="ignore"):
        t = np.divide(excess, spread, out=np.zeros_like(excess), where=excess != 0)
    return normal_score(t, degrees)


def _innermost(error: BaseException) -> str:
    """File and line of the last frame inside the package."""
    found, frame = "?", error.__traceback__
    while frame is not None:
        name = frame.tb_frame.f_code.co_filename
        if "/steode/" in name or found == "?":
            found = f"{name.rsplit('/steode/', 1)[-1]}:{frame.tb_lineno}"
        frame = frame.tb_next
    return found
