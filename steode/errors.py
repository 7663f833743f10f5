"""The errors steode raises, and the checks made at the door of each box.

Every message names the argument, what was expected, what was received, and what to do.
"""

import contextlib
import itertools
import math
import numbers
import os
import pathlib
from collections.abc import Iterable

import numpy as np


class SteodeError(Exception):
    """Base class of every error raised on purpose by steode."""


class SpecificationError(SteodeError, ValueError):
    """An argument that does not describe a model, or a request, that makes sense."""

    def __init__(self, argument: str, expected: str, received: object, remedy: str):
        self.argument, self.expected, self.received, self.remedy = argument, expected, received, remedy
        super().__init__(f"{argument}: expected {expected}, received {_shorten(received)}. {remedy}")


class UnsupportedError(SteodeError, ValueError):
    """A well-formed request for which the asked method does not exist; the message says which one does."""


class ConvergenceError(SteodeError, RuntimeError):
    """A computation that did not reach its tolerance; no number is returned in its place."""


class WriteError(SteodeError, OSError):
    """A file that could not be written: a full disk, a folder that is gone. What was there before is intact.

    `path` says which file, `reason` why. `result` is what the verb computed, where the file was to hold it; otherwise
    the object that was to be saved is still the caller's. `kept` is where it was written instead, if it was.
    """

    def __init__(self, path: object, reason: object, result: object = None, kept: object = None):
        self.path, self.result, self.kept = path, result, kept
        self.reason = getattr(reason, "strerror", None) or str(reason)
        super().__init__(
            f"path: expected a file that can be written, received {_shorten(str(path))} ({self.reason}). Make room or "
            "give another path; what was there before is intact."
            + (f" What was computed is in {kept}." if kept else "")
        )


class DivergenceError(SteodeError, RuntimeError):
    """A simulated run whose weights, or what is measured of them, stopped being finite.

    `quantity`, `step`, `tau` = step/dim and `seed` say what, when and where; `last_state` holds the weights of this
    process's seeds, (seeds, d), after `last_step` steps, when all was well.
    """

    def __init__(self, quantity: str, step: int, seed: int, dim: int, last_step: int = 0, last_state=None):
        tau = step / dim
        self.quantity, self.step, self.tau, self.seed = quantity, step, tau, seed
        self.last_step, self.last_state = last_step, last_state
        super().__init__(
            f"{quantity} is not finite at step {step} (tau = {tau:g}) of seed {seed}: training diverged. "
            'Lower the learning rate or stop earlier; dtype="float64" only moves the overflow.'
        )


def _shorten(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def check_finite(argument: str, value: object, remedy: str = "Give a finite number.") -> float:
    """Return `value` as a float, or raise `SpecificationError` if it is not a finite real number."""
    number = math.nan
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an integer above 1e308 has no float
            number = float(value)
    if not math.isfinite(number):
        raise SpecificationError(argument, "a finite real number", value, remedy)
    return number


def check_positive(argument: str, value: object, remedy: str = "Give a positive finite number.") -> float:
    """Return `value` as a float, or raise `SpecificationError` unless it is finite and > 0."""
    if check_finite(argument, value, remedy) <= 0:
        raise SpecificationError(argument, "a number > 0", value, remedy)
    return float(value)


def check_nonnegative(argument: str, value: object, remedy: str = "Give a finite number >= 0.") -> float:
    """Return `value` as a float, or raise `SpecificationError` unless it is finite and >= 0."""
    if check_finite(argument, value, remedy) < 0:
        raise SpecificationError(argument, "a number >= 0", value, remedy)
    return float(value)


def check_integer(argument: str, value: object, minimum: int, maximum: int | None = None, remedy: str = "") -> int:
    """Return `value` as an int, or raise `SpecificationError` unless it is an integer in [minimum, maximum]."""
    bounds = f"an integer >= {minimum}" if maximum is None else f"an integer between {minimum} and {maximum}"
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < minimum or (maximum is not None and value > maximum):
        raise SpecificationError(argument, bounds, value, remedy or f"Give {bounds}.")
    return int(value)


def check_path(argument: str, value: object) -> pathlib.Path:
    """Return `value` as a path, or raise `SpecificationError` unless it is a string or a path."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise SpecificationError(argument, "a path", value, 'For example "run.npz".')
    return pathlib.Path(value)


def check_array(argument: str, values: object) -> np.ndarray:
    """A flat float64 copy of `values`, checked to be non-empty and finite."""
    try:
        # NumPy would turn "1", True and 1j into 1.0
        numeric = np.asarray(values).dtype.kind not in "bcmMSTU"
        array = np.array(values, dtype=float).ravel() if numeric else None
    except (TypeError, ValueError, OverflowError):
        array = None
    if array is None:
        raise SpecificationError(argument, "an array of numbers", values, "Give finite real numbers only.")
    if array.size == 0:
        raise SpecificationError(argument, "at least one number", values, "The array is empty.")
    if not np.all(np.isfinite(array)):
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise SpecificationError(argument, "finite numbers", f"{array[bad]} at index {bad}", "Remove or replace it.")
    return array


def check_increasing(argument: str, values: object, least: int) -> tuple[float, ...]:
    """Return `values` as floats, or raise `SpecificationError` unless at least `least` of them increase strictly."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise SpecificationError(argument, "a sequence of numbers", values, "For example (-1, 0, 1).")
    floats = tuple(check_finite(argument, value, "Give finite numbers only, such as (-1, 0, 1).") for value in values)
    if len(floats) < least:
        raise SpecificationError(argument, f"at least {least} numbers", floats, "A step function needs two levels.")
    if any(high <= low for low, high in itertools.pairwise(floats)):
        raise SpecificationError(argument, "strictly increasing numbers", floats, "Sort them and remove repetitions.")
    return floats
