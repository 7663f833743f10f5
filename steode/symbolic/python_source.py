"""A limit whose equations close, as the text of a Python module that needs NumPy and SciPy and nothing of steode.

What is printed are the derived expressions themselves: rates, averages in erf and exp, residual variance, observables.
Only the frame around them, arrays in and a table out, is written here.
"""

import re
import textwrap

import sympy
from sympy.printing.numpy import SciPyPrinter

from steode.errors import UnsupportedError
from steode.symbolic import averages
from steode.symbolic import symbols as sym

NODES = 48
"""Teacher values that stand for a continuous law."""
LEAST_VARIANCE = 1e-12
"""Of a point mass at the start, in whose averages the variance is a divisor; in units of the mean square."""

_NAMES = {averages.GaussianMean: "mean", averages.GaussianSquare: "mean_square", averages.GaussianSlope: "mean_slope"}
_MEANINGS = {"mean": "E[Q(w)]", "mean_square": "E[Q(w)^2]", "mean_slope": "E[Q'(w)]"}

_HEAD = '''"""{title}

{about}

    python THIS_FILE.py        prints the error over time

Written by steode {version} from the derivation of
{model}
"""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import erf, erfc

{numbers}

# input moments, from their closed forms
{moments}

'''

_TAIL = '''

def solve(t_end, times=None, rtol=1e-8):
    """Table of observables over rescaled time tau = step/d, a dictionary of arrays."""
    times = np.linspace(0.0, t_end, 201) if times is None else np.asarray(times, dtype=float)
    found = solve_ivp(rates, (0.0, t_end), START, t_eval=times, rtol=rtol, atol=rtol * SIZE, method="LSODA")
    if not found.success:
        raise RuntimeError(found.message)
    rows = [observables(state) for state in found.y.T]
    return {"tau": times} | {name: np.array([row[name] for row in rows]) for name in rows[0]}


if __name__ == "__main__":
    table = solve(20.0, np.linspace(0.0, 20.0, 11))
    print("     tau       eps_g")
    for tau, error in zip(table["tau"], table["eps_g"]):
        print(f"{tau:8.2f}  {error:10.6f}")
'''


def python_source(limit, version: str) -> str:
    """The module's text; `version` of steode is named in it.

    Raises `UnsupportedError` for equations that do not close, or whose averages have no closed form.
    """
    equations = limit.exact_moments or limit.gaussian_closure
    spread = limit.model.groups or not limit.model.spectrum.is_isotropic or limit.inert
    if limit.output is not None or equations is None or spread:
        reason = "the equations of this model do not close over a few moments"
        raise UnsupportedError(f"to_python: {reason}; save a solution instead: solve(model, t_end).save(path).")
    exact = limit.exact_moments is not None
    body = _exact_body(limit, equations) if exact else _closure_body(limit, equations)
    kind = "The moment equations of the limit, which close exactly." if exact else (
        "The Gaussian closure of the limit: the law of the weights is taken as Gaussian for each teacher value\n"
        "(in the limit it is not; solve(model, t_end) of steode computes it exactly)."
    )  # fmt: skip
    moments = "\n".join(
        f"{symbol} = {_code(limit, limit.explicit(value))}" for symbol, value in limit.input_moments.items()
    )
    used = set(re.findall(r"[A-Za-z_]\w*", body + moments))
    head = _HEAD.format(
        title="The high-dimensional limit of a model trained with the straight-through estimator.",
        about=kind,
        version=version,
        model="\n".join(f"    {line}" for line in _wrapped(repr(limit.model))),
        numbers=_numbers(limit, exact, used),
        moments=moments,
    )
    return head + body + _TAIL


def _numbers(limit, exact: bool, used: set[str]) -> str:
    """Hyperparameters that are used, teacher and start as assignments; what depends on tau is left to `_schedule`."""
    lines, model = [], limit.model
    for symbol, value in limit.parameters.items():
        if (isinstance(value, sympy.Expr) and value.free_symbols) or _name(symbol) not in used:
            continue
        lines.append(f"{_name(symbol)} = {float(value)!r}")
    init, teacher = model.init, model.teacher
    mean, second = float(init.mean), float(init.second_moment)
    if exact:
        lines.append(f"rho, mean_teacher = {float(teacher.second_moment)!r}, {float(teacher.mean)!r}")
        lines.append(f"# E[w* w] and E[w^2] at the start\nSTART = np.array([mean_teacher * {mean!r}, {second!r}])")
        lines.append("SIZE = max(rho, START[1])")
    else:
        values, weights = teacher.quadrature((), NODES)
        lines.append(f"w_star = np.array({[float(value) for value in values]})")
        lines.append(f"probability = np.array({[float(value) for value in weights]})")
        lines.append("rho = probability @ w_star**2")
        least = f"{LEAST_VARIANCE!r} * max(rho, {second!r})"
        lines.append(f"# means and variances of the weights at the start, for each teacher value\nfirst = {mean!r}")
        lines.append(f"second = max({float(init.variance)!r}, {least})")
        lines.append("START = np.concatenate([np.full(w_star.size, first), np.full(w_star.size, second)])")
        lines.append(f"SIZE = min(max(rho, {second!r}), max(rho, {second!r}) ** 0.5)")
    return "\n".join(lines)


def _closure_body(limit, equations) -> str:
    used = sorted({average for rate in equations.rates for average in rate.atoms(*_NAMES)}, key=str)
    kinds = {type(average) for average in used} | {averages.GaussianMean, averages.GaussianSquare}
    functions = [_average(limit, kind) for kind in _NAMES if kind in kinds]
    teacher_overlap = limit.order_parameters[sym.m].xreplace({sym.Q: sympy.Symbol("image")})
    self_overlap = sympy.expand(limit.order_parameters[sym.q]).xreplace({sym.Q**2: sympy.Symbol("square")})
    means, variances = (_code(limit, rate) for rate in equations.rates)
    return (
        "\n\n".join(functions)
        + f"""

def order_parameters(M, S):
    image, square = mean(M, S), mean_square(M, S)
    m = probability @ ({_code(limit, teacher_overlap)})
    q = probability @ ({_code(limit, self_overlap)})
    return m, q, {_code(limit, limit.residual_variance)}


def rates(tau, state):
    M, S = state.reshape(2, -1)
    m, q, V = order_parameters(M, S)
{_schedule(limit)}    return np.concatenate([
        {means} + 0 * M,
        {variances} + 0 * S,
    ])


def observables(state):
    m, q, V = order_parameters(*state.reshape(2, -1))
    return {_observables(limit)}
"""
    )


def _exact_body(limit, equations) -> str:
    teacher_overlap = limit.order_parameters[sym.m].xreplace({sym.Q: sym.A / sym.wstar})
    square = limit.explicit(averages.GaussianSquare(sym.Q_w, 0, sym.C))
    self_overlap = sympy.expand(limit.order_parameters[sym.q]).xreplace({sym.Q**2: square})
    rates = ",\n        ".join(_code(limit, rate) for rate in equations.rates)
    return f"""
def order_parameters(A, C):
    m, q = {_code(limit, teacher_overlap)}, {_code(limit, self_overlap)}
    return m, q, {_code(limit, limit.residual_variance)}


def rates(tau, state):
    A, C = state
    m, q, V = order_parameters(A, C)
{_schedule(limit)}    return np.array([
        {rates},
    ])


def observables(state):
    m, q, V = order_parameters(*state)
    return {_observables(limit)}
"""


def _average(limit, kind: type) -> str:
    name = _NAMES[kind]
    form = limit.explicit(kind(sym.Q_w, sym.M, sym.S))
    if form.has(sympy.Integral):
        raise UnsupportedError(
            "to_python: the averages of this weight map have no closed form; a step function's have, in erf."
        )
    return f'''
def {name}(M, S):
    """{_MEANINGS[name]}, w ~ N(M, S)."""
    return {_code(limit, form)} + 0 * M
'''


def _schedule(limit) -> str:
    formulas = {s: v for s, v in limit.parameters.items() if isinstance(v, sympy.Expr) and v.free_symbols}
    return "".join(f"    {_name(symbol)} = {_code(limit, formula)}\n" for symbol, formula in formulas.items())


def _observables(limit) -> str:
    found = {name: value for name, value in limit.observables.items() if isinstance(value, sympy.Expr)}
    return "{" + ", ".join(f'"{name}": {_code(limit, value)}' for name, value in found.items()) + "}"


def _name(symbol: sympy.Symbol) -> str:
    """A symbol as a Python name."""
    if symbol == sym.wstar:
        return "w_star"
    return "".join(letter for letter in symbol.name.replace("\\mathrm", "") if letter.isalnum() or letter == "_")


def _code(limit, expression: sympy.Expr) -> str:
    """An expression as Python; named averages become calls, symbols names."""

    def call(average):
        _, mean, variance = average.args
        return sympy.Function(_NAMES[type(average)])(mean, variance)

    found = expression.xreplace({average: call(average) for average in expression.atoms(*_NAMES)})
    found = found.xreplace({symbol: sympy.Symbol(_name(symbol)) for symbol in found.free_symbols})
    printer = SciPyPrinter({"fully_qualified_modules": False, "allow_unknown_functions": True})
    text = printer.doprint(found)
    for name in ("sqrt", "exp", "pi", "log", "tanh", "sin", "cos"):
        text = _qualified(text, name)
    return text


def _qualified(text: str, name: str) -> str:
    return re.sub(rf"(?<![\w.]){name}\b", f"np.{name}", text)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 110, break_long_words=False)
