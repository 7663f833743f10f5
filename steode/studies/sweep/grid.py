"""The points of a sweep as models, and which of them one compiled function serves."""

import dataclasses
import itertools
import pathlib
from collections.abc import Set

import numpy as np

from steode.errors import SpecificationError
from steode.parts.configuration import from_plain, plain, set_entry
from steode.parts.laws import Constant, Laplace, Normal, TwoPoint
from steode.parts.laws.array_file import Place
from steode.parts.surrogates import ClippedSurrogate
from steode.studies.sweep.axes import Axis
from steode.systems.linear.spec import LinearModel

PARAMETERS = {
    "learning_rate": "learning_rate",
    "noise": "noise",
    "weight_decay": "weight_decay",
    "batch_size": "batch_size",
    "weight_quantizer.range": "weight_range",
    "input_quantizer.range": "input_range",
    "surrogate.bound": "bound",
    "surrogate.lower": "lower",
}
"""Keys of numbers that may change within one compiled function, and the names of its parameters."""

SCALES = {Constant: "value", TwoPoint: "value", Normal: "std", Laplace: "scale"}
"""The entry of a teacher law that multiplies it, where the law is centered or a single point."""

ANYWHERE = Place(pathlib.Path(), allow_outside=True)
"""Files that an axis names are those of the caller; what a specification file may name is checked where it is read."""


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Points that differ only in continuous parameters.

    model : a model in their middle.
    points : their flat indices, shape (n,).
    parameters : name -> values, each of shape (n,).
    """

    model: LinearModel
    points: np.ndarray
    parameters: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
    """All combinations of the axes' values, numbered with the last axis running fastest."""

    base: LinearModel
    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of points."""
        return int(np.prod(self.shape))

    def model(self, indices: tuple[int, ...]) -> LinearModel:
        """The model at one index for each axis; `SpecificationError`, saying where, if there is none."""
        chosen = [axis.values[index] for axis, index in zip(self.axes, indices, strict=True)]
        table: dict = {}
        try:
            for axis, value in zip(self.axes, chosen, strict=True):
                for key in axis.keys:
                    name = key.split(".")[0]
                    table.setdefault(name, plain(getattr(self.base, name)))
                    set_entry(table, key, value)
            return self.base.replace(**{name: from_plain(name, entry, ANYWHERE) for name, entry in table.items()})
        except SpecificationError as error:
            where = ", ".join(f"{axis.keys[0]} = {value}" for axis, value in zip(self.axes, chosen, strict=True))
            argument = f"axes, at {where}: {error.argument}"
            raise SpecificationError(argument, error.expected, error.received, error.remedy) from None

    def check(self) -> list[Group]:
        """Make sure that every point is a model; return the groups with all continuous parameters free.

        Continuous parameters other than the bounds of the clipped surrogate are checked one by one: no condition joins
        them to anything else, and a large grid is checked at once.
        """
        free = [axis for axis in self.axes if self._parameter(axis, None)]
        middle = [len(axis.values) // 2 for axis in self.axes]
        for number, axis in enumerate(self.axes):
            if axis in free:
                for index in range(len(axis.values)):
                    self.model(tuple(index if place == number else at for place, at in enumerate(middle)))
        groups = self.groups(None)
        for group in groups:
            if isinstance(group.model.surrogate, ClippedSurrogate):
                for point in group.points:
                    self.model(np.unravel_index(point, self.shape))
        return groups

    def groups(self, continuous: Set[str] | None) -> list[Group]:
        """Points by the function that serves them, if it takes the parameters named in `continuous` (None: all)."""
        indices = np.stack(np.unravel_index(np.arange(self.size), self.shape), axis=1)
        free = {number: self._parameter(axis, continuous) for number, axis in enumerate(self.axes)}
        kinds = indices.copy()
        for number, names in free.items():
            if names:
                # without decay the equations do not contain it
                zero = np.array([value == 0 for value in self.axes[number].values])
                kinds[:, number] = zero[indices[:, number]] if "weight_decay" in names else 0
        groups = []
        for points in _alike(kinds):
            middle = tuple(int(np.sort(column)[column.size // 2]) for column in indices[points].T)
            model = self.model(middle)
            parameters = {}
            for number, names in free.items():
                for name in names if model.weight_decay else set(names) - {"weight_decay"}:
                    values = np.array(self.axes[number].values, dtype=float)
                    unit = values[middle[number]] if name == "teacher_scale" else 1.0
                    parameters[name] = values[indices[points, number]] / unit
            groups.append(Group(model, points, parameters))
        return groups

    def _parameter(self, axis: Axis, continuous: Set[str] | None) -> tuple[str, ...]:
        """Parameters that an axis varies, empty unless all its keys are parameters named in `continuous`."""
        names = [PARAMETERS.get(key) or self._scale(key, axis) for key in axis.keys]
        allowed = all(name and (continuous is None or name in continuous) for name in names)
        return tuple(names) if allowed and len(set(names)) == len(names) else ()

    def _scale(self, key: str, axis: Axis) -> str | None:
        teacher, varied = self.base.teacher, set(itertools.chain.from_iterable(axis.keys for axis in self.axes))
        centered = getattr(teacher, "mean", 0.0) == 0 if isinstance(teacher, Normal | Laplace) else True
        positive = all(isinstance(value, int | float) and value > 0 for value in axis.values)
        scales = f"teacher.{SCALES.get(type(teacher))}" == key and centered and "teacher.mean" not in varied
        return "teacher_scale" if scales and positive else None


def _alike(kinds: np.ndarray) -> list[np.ndarray]:
    """Indices of equal rows, in order of first appearance."""
    _, first, inverse = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
    inverse = inverse.ravel()
    order = np.argsort(inverse, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    return [members[kind] for kind in np.argsort(first)]
