"""A bounded number of compiled programs: those of models that are no longer asked for are released."""

import collections
import functools
from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np

MOST_PROGRAMS = 8
"""Programs kept of one function: an adaptive solve of a model needs two to four, of some 50 MB each."""

LEAST_TIMES = 256
"""Fewest times that a program reports; programs for more report 4, 16, ... times as many."""


def padded(times: np.ndarray) -> np.ndarray:
    """Increasing times (T,) with the last repeated up to one of a few lengths, so that few programs serve all requests.

    Nothing happens between equal times: what is reported there is reported again.
    """
    length = LEAST_TIMES
    while length < times.size:
        length *= 4
    return np.pad(times, (0, length - times.size), mode="edge")


def bounded_jit(function: Callable, prepare: Callable = lambda *arguments: arguments) -> Callable:
    """`function` compiled for every structure and shape of its arguments, with the last MOST_PROGRAMS programs kept.

    Arrays among the arguments are traced and everything else is part of the structure, as in `equinox.filter_jit`,
    whose programs live as long as the process. The function must return arrays. What it is given is `prepare` of the
    arguments of the call, computed before.
    """
    programs: collections.OrderedDict = collections.OrderedDict()

    @functools.wraps(function)
    def call(*arguments):
        arguments = prepare(*arguments)
        traced, fixed = eqx.partition(arguments, eqx.is_array_like)
        leaves, structure = jax.tree.flatten(fixed)
        arrays, places = jax.tree.flatten(traced)
        key = (tuple(leaves), structure, places, tuple((jax.numpy.shape(x), jax.dtypes.result_type(x)) for x in arrays))
        if key not in programs:
            programs[key] = jax.jit(lambda traced: function(*eqx.combine(traced, fixed)))
        programs.move_to_end(key)
        while len(programs) > MOST_PROGRAMS:
            programs.popitem(last=False)[1].clear_cache()
        return programs[key](traced)

    call.__wrapped__ = lambda *arguments: function(*prepare(*arguments))
    return call
