"""The average of the iterates: its second moment, carried along with the iterates themselves.

Let s(n) be the sum of the deviations v(t) of the averaged iterates before iterate n. Then c = E[s v], q = E[s^2] and
U = E[s] follow from m = E[v^2] and u = E[v] in O(1) a coordinate and step, and the averaged iterate has the mean square
deviation q/n^2 after n averaged iterates.
"""

import sympy

from steode.symbolic.expectation import expectation
from steode.systems.regression import symbols as sym


def next_averages() -> tuple[sympy.Expr, sympy.Expr, sympy.Expr]:
    """c, q and U after one more iterate, in g, c, q, U, m and u.

    The next deviation is g v, g its mean decay, plus an innovation whose mean is zero given the past: a martingale
    difference, uncorrelated with s and v.
    """
    now = sym.deviation["i"]
    following = sym.decay * now + sym.innovation
    past = ((sym.total, now), _past_moment)
    innovation = ((sym.innovation,), lambda power: sympy.S.One if power == 0 else sympy.S.Zero)
    longer = sym.total + now
    values = (longer * following, longer**2, longer)
    return tuple(sympy.collect(expectation(value, [past, innovation]), sym.decay) for value in values)


def _past_moment(total: int, deviation: int) -> sympy.Expr:
    return {
        (0, 0): sympy.S.One,
        (1, 0): sym.total_mean,
        (0, 1): sym.mean["i"],
        (1, 1): sym.overlap,
        (2, 0): sym.total_square,
        (0, 2): sym.square["i"],
    }[total, deviation]
