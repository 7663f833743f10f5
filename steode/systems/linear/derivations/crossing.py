"""The plateau: how long a weight inside one cell takes to reach a threshold."""

import functools

import sympy

from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step
from steode.systems.linear.derivations.stationary_density import pulls_in


@functools.lru_cache(maxsize=16)
def derive_plateau(drift) -> tuple[Step, sympy.Expr]:
    """The step "plateau", and the time from w to the threshold T_j in the cell of L_j."""
    speed = drift.subs({sym.s: 1, sym.Q: sym.level})
    position = sympy.Function("w")(sym.tau)
    equation = sympy.Eq(position.diff(sym.tau), speed.subs(sym.w, position))
    path = sympy.dsolve(equation, position, ics={position.subs(sym.tau, 0): sym.w}).rhs
    (time,) = sympy.solve(sympy.Eq(path, sym.threshold), sym.tau)
    if not speed.has(sym.w):
        time = sympy.factor(time)
    centered = {sym.level: 0, sym.w: 0, sym.threshold: sym.Delta / 2}
    length = sympy.Symbol(r"\tau_{\mathrm{plateau}}")
    times = (
        sympy.Eq(length, time),
        sympy.Eq(sympy.Symbol(r"\tau_{\mathrm{plateau}}(w_0 = 0)"), sympy.simplify(time.subs(centered))),
    )
    if not speed.has(sym.w):
        reason = (
            "Inside one cell the drift is constant and Q does not change, so neither does the error: it stays flat "
            "until the narrow cloud of weights has traveled to the next threshold; the second form is the cell around "
            "a level at zero."
        )
        return Step("plateau", times, reason), time
    balance = sympy.factor(sympy.solve(speed, sym.w)[0])
    source = pulls_in(speed).capitalize()
    reason = (
        "Inside one cell Q does not change, so neither does the error: it stays flat until the narrow cloud of weights "
        f"has traveled to the next threshold. {source} makes the drift linear in w and lets the weight relax to the "
        "balance of the first line: if that lies before the threshold, the argument of the logarithm is not positive "
        "and the threshold is never reached. The last form is the cell around a level at zero."
    )
    return Step("plateau", (sympy.Eq(sym.balance, balance), *times), reason), time
