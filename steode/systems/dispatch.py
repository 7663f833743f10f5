"""One word for one thing: a verb hands what belongs to another system to that system's verb of the same name."""

import functools
import importlib
import inspect
from collections.abc import Callable

from steode.errors import UnsupportedError

ROOMS = "steode.systems."


def for_every_system(verb: Callable) -> Callable:
    """The verb of the linear system, which passes models and results of other systems on.

    A system is the folder in which the class of the first argument is written; its verbs are those that the folder
    exports. Raises `UnsupportedError`, naming the verbs there are, if it has none of this name.
    """

    first = next(iter(inspect.signature(verb).parameters))

    @functools.wraps(verb)
    def call(*arguments, **options):
        system = system_of(arguments[0] if arguments else options.get(first))
        if system in (None, "linear"):
            return verb(*arguments, **options)
        door = importlib.import_module(ROOMS + system)
        own = getattr(door, verb.__name__, None)
        if own is None:
            verbs = ", ".join(name for name in door.__all__ if name.islower())
            raise UnsupportedError(f"{verb.__name__}: the system {system} has none; steode.{system} has {verbs}.")
        return own(*arguments, **options)

    return call


def system_of(thing: object) -> str | None:
    """The folder of steode.systems that the class of a model or of a result belongs to; None for anything else."""
    module = type(thing).__module__
    return module.removeprefix(ROOMS).partition(".")[0] if module.startswith(ROOMS) else None
