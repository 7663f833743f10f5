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

LARGEST, SMALLEST = 1e50, 1e-50
"""Bounds of the numbers of a specification: of the magnitude of all, and from below of what has to be positive.

The limit multiplies and divides by up to six of them (rates, second moments and their squares), which stays within the
1e308 of double precision; beyond the bounds an overflow somewhere inside would be the answer.
"""
UNITS = "Choose units in which it is nearer to 1: products of several such numbers leave double precision."
SPAN = 1e12
"""Largest ratio of two lengths that double precision resolves."""
LARGEST_INTEGER, LARGEST_SIZE = 2**64 - 1, 10**7
"""Largest integer of a specification, the largest random key; and largest number of entries, runs or records."""


class SteodeError(Exception):
    """Base class of every error raised on purpose by steode."""


class SpecificationError(SteodeError, ValueError):
    """An argument that does not describe a model, or a request, that makes sense."""

    def __init__(self, argument: str, expected: str, received: object, remedy: str):
        self.argument, self.expected, self.received, self.remedy = argument, expected, received, remedy
        # an argument may be a key of somebody's file: one line, whatever it is
        named = argument if len(argument) <= 200 and argument.isprintable() else _shorten(argument)
        super().__init__(f"{named}: expected {expected}, received {_shorten(received)}. {remedy}")


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
    try:
        text = repr(value[:limit] if isinstance(value, str) else value)
    except (ValueError, RecursionError):  # an integer of more digits than Python prints, or endless nesting
        text = f"a value of type {type(value).__name__} too large to print"
    return text if len(text) <= limit else text[: limit - 3] + "..."


def check_finite(argument: str, value: object, remedy: str = "Give a finite number.") -> float:
    """Return `value` as a float, or raise `SpecificationError` if it is no real number of magnitude up to LARGEST."""
    number = math.nan
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an integer above 1e308 has no float
            number = float(value)
    if not math.isfinite(number):
        raise SpecificationError(argument, "a finite real number", value, remedy)
    if abs(number) > LARGEST:
        raise SpecificationError(argument, f"a number of magnitude at most {LARGEST:g}", value, UNITS)
    return number


def check_positive(argument: str, value: object, remedy: str = "Give a positive finite number.") -> float:
    """Return `value` as a float, or raise `SpecificationError` unless it is from SMALLEST to LARGEST."""
    number = check_finite(argument, value, remedy)
    if number <= 0:
        raise SpecificationError(argument, "a number > 0", value, remedy)
    if number < SMALLEST:
        raise SpecificationError(argument, f"a number of at least {SMALLEST:g}", value, UNITS)
    return number


def check_nonnegative(argument: str, value: object, remedy: str = "Give a finite number >= 0.") -> float:
    """Return `value` as a float, or raise `SpecificationError` unless it is 0 or from SMALLEST to LARGEST."""
    number = check_finite(argument, value, remedy)
    if number < 0:
        raise SpecificationError(argument, "a number >= 0", value, remedy)
    if 0 < number < SMALLEST:
        raise SpecificationError(argument, f"0, or a number of at least {SMALLEST:g}", value, UNITS)
    return number


def check_integer(
    argument: str,
    value: object,
    minimum: int,
    maximum: int | None = None,
    remedy: str = "",
    largest: int = LARGEST_INTEGER,
) -> int:
    """Return `value` as an int, or raise `SpecificationError` unless it is an integer in [minimum, maximum].

    Where nothing in the meaning of the number bounds it, the memory it takes does: it is at most `largest`.
    """
    bounds = f"an integer >= {minimum}" if maximum is None else f"an integer between {minimum} and {maximum}"
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if whole and maximum is None and value > largest:
        raise SpecificationError(argument, f"an integer of at most {largest}", value, "Give a smaller one.")
    if not whole or value < minimum or (maximum is not None and value > maximum):
        raise SpecificationError(argument, bounds, value, remedy or f"Give {bounds}.")
    return int(value)


def check_path(argument: str, value: object) -> pathlib.Path:
    """Return `value` as a path, or raise `SpecificationError` unless it is a string or a path."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise SpecificationError(argument, "a path", value, 'For example "run.npz".')
    return pathlib.Path(value)


ONE_AXIS = "Give one sequence of numbers: array.ravel() for all entries in one."


def check_array(argument: str, values: object, remedy: str = ONE_AXIS, *, any_shape: bool = False) -> np.ndarray:
    """A flat float64 copy of `values`, checked to be non-empty and finite, and to have one axis unless `any_shape`."""
    try:
        # NumPy would turn "1", True and 1j into 1.0
        numeric = np.asarray(values).dtype.kind not in "bcmMSTU"
        array = np.array(values, dtype=float) if numeric else None
    except (TypeError, ValueError, OverflowError):
        array = None
    if array is None:
        raise SpecificationError(argument, "an array of numbers", values, "Give finite real numbers only.")
    if array.ndim > 1 and not any_shape:
        raise SpecificationError(argument, "an array with one axis", f"shape {array.shape}", remedy)
    array = array.ravel()
    if array.size == 0:
        raise SpecificationError(argument, "at least one number", values, "The array is empty.")
    if not np.all(np.isfinite(array)):
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise SpecificationError(argument, "finite numbers", f"{array[bad]} at index {bad}", "Remove or replace it.")
    if np.abs(array).max() > LARGEST:
        bad = int(np.abs(array).argmax())
        expected = f"numbers of magnitude at most {LARGEST:g}"
        raise SpecificationError(argument, expected, f"{array[bad]} at index {bad}", UNITS)
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
