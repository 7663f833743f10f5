"""The reader of expressions: it evaluates nothing, bounds all work, and what is written is read again."""

import math
import time

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.special
import sympy

from steode.errors import SpecificationError
from steode.parts.elementwise import Elementwise
from steode.parts.expression import CONSTANTS, FUNCTIONS, MOST_ARGUMENTS, parse_expression, write_expression
from steode.parts.schedule import Schedule
from steode.parts.surrogates import DerivativeOf
from steode.systems.binary_relu import BinaryReLUModel
from steode.systems.classification.surrogates import check_surrogate

X = sympy.Symbol("x", real=True)
FULL_WIDTH = "".join(chr(ord(letter) + 0xFEE0) for letter in "subs")

HOSTILE = {
    "import": "__import__('os').system('touch canary')",
    "full-width attribute": f"x.{FULL_WIDTH}(x, tanh(x))",
    "full-width name": "\uff58",
    "mathematical letter": "\U0001d465",
    "surrogate": "x + \ud800",
    "nul": "x\0",
    "attribute": "x.subs",
    "dunder": "x.__class__",
    "attribute of a number": "1.0.real*x",
    "format": "f'{x}'",
    "walrus": "(x := 1)",
    "lambda": "lambda: x",
    "comprehension": "[x for x in (1, 2)]",
    "generator": "Max(x for x in (1, 2))",
    "starred": "Max(*x)",
    "keyword": "Max(x, evaluate=x)",
    "double starred": "Max(**x)",
    "conditional": "x if x > 0 else 0",
    "index": "x[0]",
    "string": "'x'",
    "None": "None",
    "True": "True",
    "ellipsis": "...",
    "underscores": "1_000*x",
    "hexadecimal": "0x10*x",
    "octal": "0o7*x",
    "complex": "1j*x",
    "imaginary unit": "I*x",
    "root of -1": "sqrt(-1)*x",
    "logarithm of -1": "log(-1)*x",
    "nan": "nan",
    "infinite": "inf",
    "zoo": "1/(x - x)",
    "division": "x/0",
    "floor division": "x//2",
    "statement": "x; x",
    "comparison": "x < 1",
    "equality": "Piecewise((1, x == 1), (x, True))",
    "chained": "Piecewise((x, 0 < x < 1), (0, True))",
    "no pair": "Piecewise(x, x)",
    "triple": "Piecewise((x, x < 1, x), (0, True))",
    "no piece": "Piecewise()",
    "no last piece": "Piecewise((x, x < 1))",
    "number as condition": "Piecewise((x, 1), (0, True))",
    "nested condition": "Piecewise((x, Piecewise((x, x < 1), (1, True)) < 2), (0, True))",
    "undecided condition": "Piecewise((1, 1 <= erf(100)), (2, True))",
    "called variable": "x(2)",
    "called number": "2(x)",
    "function as value": "tanh + x",
    "function of a function": "tanh(x)(x)",
    "too many arguments": "tanh(x, x)",
    "no argument": "Max()",
    "factorial": "factorial(10**9)",
    "value at zero": "Heaviside(x, x)",
    "tower": "10**10**10",
    "tower of nines": "9**9**9",
    "exponentials": "exp(exp(exp(100)))",
    "hidden exponential": "exp(x - x + 1000)",
    "hyperbolic": "cosh(10**10)*x",
    "Max of many": "Max(" + ", ".join(f"x - {place}" for place in range(300)) + ")",
    "minus signs": "-" * 5000 + "x",
    "some minus signs": "-" * 390 + "x",
    "parentheses": "(" * 5000 + "x" + ")" * 5000,
    "some parentheses": "(" * 150 + "x" + ")" * 150,
    "large decimal": "1e999999999*x",
    "large number": "1e300*x",
    "small number": "1e-300*x",
    "long integer": "9" * 1500 + "*x",
    "powers of a decimal": "0.1**100000",
    "powers of powers": "(x**1000)**1000",
    "degree": "((x + 1)**100 + 1)**100",
    "product of powers": "*".join(["x**99"] * 9),
    "exact powers": "(10001/10000)**100*x",
    "coefficient": "(9*x)**100",
    "empty": "",
    "long": "x + " * 100_000 + "x",
}


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A folder in which a file appears if a text runs."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_plain_formula_is_refused_at_once(canary, text):
    begin = time.process_time()
    with pytest.raises(SpecificationError) as caught:
        parse_expression("text", text, X)
    assert time.process_time() - begin < 1
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


DOORS = {
    "Elementwise": Elementwise,
    "DerivativeOf": DerivativeOf,
    "Schedule": lambda text: Schedule(text.replace("x", "tau")),
    "classification": check_surrogate,
    "binary_relu": lambda text: BinaryReLUModel(rows=1, filter_size=2, surrogate=text),
}


@pytest.mark.parametrize("name", ["import", "full-width attribute", "tower", "minus signs", "parentheses", "zoo"])
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_every_constructor_refuses_hostile_text(canary, door, name):
    with pytest.raises(SpecificationError):
        door(HOSTILE[name])


@pytest.mark.parametrize("value", [["tanh(x)"], ("__import__('os').system('touch canary')",), {"x": 1}, {"tanh(x)"}])
@pytest.mark.parametrize("door", [Elementwise, DerivativeOf, check_surrogate])
def test_texts_inside_a_collection_are_no_expressions(canary, door, value):
    with pytest.raises(SpecificationError):
        door(value)


MEANINGS = {
    "tanh(2*x)": lambda x: np.tanh(2 * x),
    "x - -x**2": lambda x: x + x**2,
    "2**3**2*x/1e2": lambda x: 5.12 * x,
    " 1/3 + .5*x\n": lambda x: 1 / 3 + x / 2,
    "1 - 2 - x": lambda x: -1 - x,
    "8/4/2*x": lambda x: x,
    "Piecewise((x**2, (0 < x) & (x <= 1)), (1, x > 1), (0, True))": lambda x: np.clip(x, 0, 1) ** 2,
    "Piecewise((1, (x < -1) | (x > 1)), (0, True))": lambda x: (abs(x) > 1) * 1.0,
    "Max(Min(x, 1), -1)": lambda x: np.clip(x, -1, 1),
    "Heaviside(x)*pi + E": lambda x: np.pi * (x > 0) + np.e,
    "log(2 + cos(x), 2)": lambda x: np.log2(2 + np.cos(x)),
    "(x**2 + 1)**(1/3)": lambda x: np.cbrt(x**2 + 1),
}


@pytest.mark.parametrize("text", MEANINGS)
def test_a_text_means_what_it_says(text):
    points = np.array([-2.3, -0.7, 0.4, 0.9, 3.1])
    values = sympy.lambdify(X, parse_expression("text", text, X), modules=["scipy", "numpy"])(points)
    np.testing.assert_allclose(values, MEANINGS[text](points), rtol=1e-13)


WRITTEN = {
    **{name: function(X) for name, (function, least, most) in FUNCTIONS.items() if least <= 1 < most + 1},
    "Max of three": sympy.Max(X, 0, 1 - X),
    "Min": sympy.Min(X, sympy.Rational(1, 3)),
    "Heaviside at zero": sympy.Heaviside(X, sympy.Rational(1, 2)),
    "constants": X * sympy.pi + sympy.E,
    "fractions": sympy.Rational(-7, 3) * X ** sympy.Rational(2, 3),
    "decimals": sympy.Float(1 / 3) * X + sympy.Float(1e-20) - sympy.Float(1e20),
    "negative powers": 1 / sympy.sqrt(1 + X**2) - X**-2,
    "pieces": sympy.Piecewise((X, (X > 0) & (X < 1)), (1, (X >= 1) | sympy.Eq(X, -2)), (0, True)),
    "nested": sympy.tanh(sympy.Max(X, sympy.Piecewise((sympy.sin(X), sympy.Ne(X, 1)), (sympy.Abs(X), True)))),
}


@pytest.mark.parametrize("expression", WRITTEN.values(), ids=WRITTEN)
def test_what_is_written_is_read_again(expression):
    assert parse_expression("text", write_expression(expression), X) == expression


def test_the_bounds_leave_room_for_formulas():
    steps = ", ".join(f"({0.5 / 2**place}, x < {10 * place + 10})" for place in range(MOST_ARGUMENTS - 2))
    assert parse_expression("text", f"Piecewise({steps}, (0.001, True))", X).subs(X, 25) == 0.125
    series = " + ".join(f"x**{power}/{math.factorial(power)}" for power in range(1, 16))
    assert parse_expression("text", series, X).coeff(X, 15) == sympy.Rational(1, math.factorial(15))


def test_any_name_of_the_variable_may_be_allowed():
    assert Elementwise("tanh(2*u)") == Elementwise("tanh(2*x)")
    with pytest.raises(SpecificationError, match="'u'"):
        Elementwise("tanh(u + x)")


POINTS = np.array([-1.7123, -0.3171, 0.2137, 0.8119, 2.6151])
NUMPY = {name: getattr(np, name) for name in ("tanh", "sinh", "cosh", "sin", "cos", "exp", "sqrt", "log")}
NUMPY |= {"atan": np.arctan, "asinh": np.arcsinh, "erf": scipy.special.erf, "Abs": np.abs}
JUMPING = {"sign": np.sign, "Heaviside": lambda u: np.heaviside(u, 0.5)}
JOINING = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "**": np.power}
NUMBERS = {"1": 1, "2": 2, "0.5": 0.5, "(1/3)": 1 / 3, "pi": np.pi, "E": np.e, "1e-3": 1e-3, "7": 7, "100": 100}


def moderate(values):
    """Values, but nan for those whose rounding errors would show in a sine of them."""
    return np.where(np.abs(values) < 1e4, values, np.nan)


LEAVES = st.sampled_from(
    [("x", POINTS), ("x", POINTS), *((text, np.full(5, float(value))) for text, value in NUMBERS.items())]
)
"""Pairs of a text and its values in NumPy, as all strategies below."""


def grown(below):
    @np.errstate(all="ignore")
    def join(left, sign, right):
        return f"({left[0]}{sign}{right[0]})", moderate(JOINING[sign](left[1], right[1]))

    @np.errstate(all="ignore")
    def call(name, argument):
        return f"{name}({argument[0]})", moderate(NUMPY[name](argument[1]))

    def jump(name, argument):
        return f"{name}({argument[0]}-0.3)", JUMPING[name](argument[1] - 0.3)

    def largest(name, left, right):
        return f"{name}({left[0]}, {right[0]})", {"Max": np.maximum, "Min": np.minimum}[name](left[1], right[1])

    def pieces(first, place, last):
        return f"Piecewise(({first[0]}, x < {place}), ({last[0]}, True))", np.where(place > POINTS, first[1], last[1])

    return st.one_of(
        st.builds(join, below, st.sampled_from([*JOINING]), below),
        st.builds(call, st.sampled_from([*NUMPY]), below),
        st.builds(jump, st.sampled_from([*JUMPING]), LEAVES),
        st.builds(largest, st.sampled_from(["Max", "Min"]), below, below),
        st.builds(pieces, below, st.sampled_from([-1.0, 0.0, 1.0]), below),
    )


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(st.recursive(LEAVES, grown, max_leaves=6))
def test_an_expression_has_the_value_of_numpy_or_is_refused(pair):
    text, expected = pair
    try:
        expression = parse_expression("text", text, X)
    except SpecificationError:
        return
    assert expression.free_symbols <= {X}
    with np.errstate(all="ignore"):
        function = sympy.lambdify(X, expression, modules=["scipy", "numpy"])
        values = np.broadcast_to(np.asarray(function(POINTS), dtype=complex), POINTS.shape)
    # SymPy may know a value where NumPy has none, such as sqrt(x)**2 below zero
    there = np.isfinite(expected) & np.isfinite(values)
    np.testing.assert_allclose(values[there], expected[there], rtol=1e-7, atol=1e-7)


WORDS = [
    *FUNCTIONS,
    *CONSTANTS,
    "x",
    "y",
    "True",
    "None",
    "lambda",
    "if",
    "not",
    "Piecewise",
    "Eq",
    "1",
    "1e400",
    "2.5",
]
WORDS += [*"+-*/()<>=&|,.:;[]{}'\"\\@%^~!#$_ \n\t\0", "**", "<=", "\xe9", "\uff58", "\ud800", "__", "0x1", "1j", "1_0"]


@hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
@hypothesis.given(st.one_of(st.lists(st.sampled_from(WORDS), max_size=30).map("".join), st.text(max_size=30)))
def test_any_other_text_is_an_expression_or_refused(text):
    try:
        expression = parse_expression("text", text, X)
    except SpecificationError:
        return
    assert isinstance(expression, sympy.Expr)
    assert expression.free_symbols <= {X}
