"""Expressions in one variable, read from text that is never evaluated, and written so that they are read again.

Python's own parser turns the text into a tree, of which only numbers, the variable, the names of a table, arithmetic
and conditions inside Piecewise are taken. Sizes are bounded before anything is computed.
"""

import ast
import math
import operator
import re

import sympy
from sympy.printing.str import StrPrinter

from steode.errors import LARGEST, SMALLEST, SpecificationError
from steode.parts.spelling import suggestion

LONGEST, MOST_TOKENS, DEEPEST = 2000, 400, 32
"""Characters, words and signs, and levels of parentheses and operations that a text may have."""
LARGEST_EXPONENT = 100
"""Largest numerical exponent, and largest degree that products and powers of powers may reach."""
MOST_ARGUMENTS = 24
"""Arguments of Max, Min and Piecewise that a text may have in all."""

_ONE = ("tanh", "sinh", "cosh", "sin", "cos", "atan", "asinh", "erf", "exp", "sqrt", "sign", "Abs")
FUNCTIONS = {name: (getattr(sympy, name), 1, 1) for name in _ONE} | {
    "log": (sympy.log, 1, 2),
    "Heaviside": (sympy.Heaviside, 1, 2),
    "Max": (sympy.Max, 1, MOST_ARGUMENTS),
    "Min": (sympy.Min, 1, MOST_ARGUMENTS),
}
"""Name -> SymPy function, least and greatest number of arguments."""
CONSTANTS = {"pi": sympy.pi, "E": sympy.E}
RELATIONS = {"Eq": sympy.Eq, "Ne": sympy.Ne}
_KNOWN = [*FUNCTIONS, "Piecewise", "True", *CONSTANTS, *RELATIONS]

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])"
_TOKEN = re.compile(rf"\s*(?:{_NUMBER}|[A-Za-z_]\w*|\*\*|<=|>=|[-+*/(),<>&|])\s*", re.ASCII)
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
_COMPARISONS = {ast.Lt: sympy.Lt, ast.LtE: sympy.Le, ast.Gt: sympy.Gt, ast.GtE: sympy.Ge}
_JUNCTIONS = {ast.BitAnd: sympy.And, ast.BitOr: sympy.Or}
_INFINITE = (sympy.I, sympy.oo, sympy.S.NegativeInfinity, sympy.zoo, sympy.nan)
_WORD, _FRACTION = 2**63, 10**50
"""Bounds of an integer, which NumPy and JAX hold in 64 bits, and of both parts of a fraction, divided before that."""


def parse_expression(where: str, text: str, variable: sympy.Symbol, *, any_name: bool = False) -> sympy.Expr:
    """The SymPy expression that `text` writes in the variable; `where` names it in errors.

    With `any_name` the variable may have another name in the text, as u in "tanh(2*u)". Raises `SpecificationError` for
    any other name or character, for what is larger than the bounds of this module, and for what is not a real finite
    expression.
    """
    if not isinstance(text, str):
        raise SpecificationError(where, f"a text in {variable}", text, "For example 1/(1 + x**2).")
    reader = _Reader(where, text, variable)
    reader.check_text(any_name)
    try:
        tree = ast.parse(" ".join(text.split()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise reader.refusal(f"Python says: {error}.") from None
    expression = reader.number(tree, 0)
    if any(abs(number) >= _WORD for number in expression.atoms(sympy.Integer)):
        raise reader.refusal("Write integers of 2**63 and beyond as decimals, such as 1e20.")
    return expression


def write_expression(expression: sympy.Basic) -> str:
    """The text of an expression, with all digits of its floating-point numbers."""
    return _Printer().doprint(expression)


class _Printer(StrPrinter):
    def _print_Float(self, expr):
        return repr(float(expr))


class _Reader:
    """One text on its way to an expression."""

    def __init__(self, where: str, text: str, variable: sympy.Symbol):
        self.where, self.text, self.variable, self.name, self.arguments = where, text, variable, variable.name, 0

    def refusal(self, reason: str) -> SpecificationError:
        return SpecificationError(self.where, f"an expression in {self.variable}", self.text, reason)

    def check_text(self, any_name: bool) -> None:
        """Refuse a text by its characters, words and length alone, which bounds what the parser has to do."""
        text = self.text
        if len(text) > LONGEST:
            raise self.refusal(f"It has {len(text)} characters; at most {LONGEST} are read.")
        if not text.isascii():
            raise self.refusal("It holds an unexpected character: only those of ASCII are read.")
        # the e of 1e-3 belongs to its number
        words = set(re.findall(r"(?<!\d)[A-Za-z_]\w*", text))
        own = words - set(_KNOWN)
        if any_name and len(own) == 1:
            (self.name,) = own
        allowed = [*_KNOWN, self.name]
        for word in sorted(own - {self.name}):
            remedy = suggestion(word, allowed)
            raise SpecificationError(self.where, "functions among " + ", ".join(allowed), word, remedy)
        place = tokens = depth = 0
        while place < len(text):
            token = _TOKEN.match(text, place)
            if token is None:
                raise self.refusal(f"It holds an unexpected character or number at {text[place : place + 10]!r}.")
            place, tokens = token.end(), tokens + 1
            depth += {"(": 1, ")": -1}.get(token.group().strip(), 0)
            if tokens > MOST_TOKENS or depth > DEEPEST:
                raise self.refusal(f"More than {MOST_TOKENS} words and signs, or {DEEPEST} open parentheses.")

    def number(self, node: ast.AST, depth: int) -> sympy.Expr:
        """The expression of a node, which has to be a number, not a condition."""
        if depth > DEEPEST:
            raise self.refusal(f"It is nested more than {DEEPEST} levels deep.")
        try:
            return self.checked(self._number(node, depth))
        # what SymPy raises where a value does not exist
        except (TypeError, ValueError, ZeroDivisionError, OverflowError, NotImplementedError, RecursionError) as error:
            if isinstance(error, SpecificationError):
                raise
            raise self.refusal(f"SymPy says: {error}.") from None

    def _number(self, node: ast.AST, depth: int) -> sympy.Expr:
        match node:
            case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
                if abs(node.value) > LARGEST:
                    raise self.too_large()
                return sympy.sympify(node.value, strict=True)
            case ast.Name(id=self.name):
                return self.variable
            case ast.Name() if node.id in CONSTANTS:
                return CONSTANTS[node.id]
            case ast.UnaryOp(op=ast.USub()):
                return -self.number(node.operand, depth + 1)
            case ast.UnaryOp(op=ast.UAdd()):
                return self.number(node.operand, depth + 1)
            case ast.BinOp(op=ast.Pow()):
                return self.power(self.number(node.left, depth + 1), self.number(node.right, depth + 1))
            case ast.BinOp() if type(node.op) in _OPERATORS:
                return self.chain(node, depth)
            case ast.Call(func=ast.Name(), keywords=[]) if node.func.id in FUNCTIONS:
                return self.call(node, depth)
            case ast.Call(func=ast.Name(id="Piecewise"), keywords=[]):
                return self.piecewise(node.args, depth)
        raise self.refusal("Write numbers, the variable, arithmetic and functions; comparisons only in a Piecewise.")

    def chain(self, node: ast.AST, depth: int) -> sympy.Expr:
        """a + b - c + ...: from left to right, without going a level deeper for every term."""
        operations = []
        while isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            operations.append((_OPERATORS[type(node.op)], node.right))
            node = node.left
        value = self.number(node, depth + 1)
        for operation, right in reversed(operations):
            other = self.number(right, depth + 1)
            if operation is operator.truediv and other == 0:
                raise self.refusal("It divides by zero.")
            value = self.checked(operation(value, other))
        return value

    def power(self, base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
        if not exponent.free_symbols:
            if abs(float(exponent)) > LARGEST_EXPONENT:
                raise self.refusal(f"Exponents are at most {LARGEST_EXPONENT}.")
            if not base.free_symbols and abs(float(base) ** float(exponent)) > LARGEST:
                raise self.too_large()
        return base**exponent

    def call(self, node: ast.Call, depth: int) -> sympy.Expr:
        function, least, most = FUNCTIONS[node.func.id]
        if not least <= len(node.args) <= most:
            raise self.refusal(f"{node.func.id} takes from {least} to {most} arguments.")
        if most == MOST_ARGUMENTS:
            self.count(len(node.args))
        arguments = [self.number(argument, depth + 1) for argument in node.args]
        # of these alone the values are beyond all bounds for arguments within them
        grows = function in (sympy.exp, sympy.sinh, sympy.cosh) and not arguments[0].free_symbols
        if grows and abs(float(arguments[0])) > math.log(LARGEST):
            raise self.too_large()
        if function is sympy.Heaviside and len(arguments) == 2 and arguments[1].free_symbols:
            raise self.refusal("The value of Heaviside at zero, its second argument, is a number.")
        return function(*arguments)

    def piecewise(self, pieces: list[ast.AST], depth: int) -> sympy.Expr:
        self.count(len(pieces))
        read = []
        for piece in pieces:
            if not isinstance(piece, ast.Tuple) or len(piece.elts) != 2:
                raise self.refusal("Piecewise takes pairs (value, condition), the last condition being True.")
            read.append((self.number(piece.elts[0], depth + 1), self.condition(piece.elts[1], depth + 1)))
        if not read or read[-1][1] != sympy.true:
            raise self.refusal("The last condition of a Piecewise is True, so that it has a value everywhere.")
        return sympy.Piecewise(*read)

    def condition(self, node: ast.AST, depth: int) -> sympy.Basic:
        """A comparison, or several joined by & and |."""
        if depth > DEEPEST:
            raise self.refusal(f"It is nested more than {DEEPEST} levels deep.")
        match node:
            case ast.Constant(value=True):
                return sympy.true
            case ast.Compare(ops=[_], comparators=[_]) if type(node.ops[0]) in _COMPARISONS:
                sides = self.sides([node.left, node.comparators[0]], depth)
                return self.decided(_COMPARISONS[type(node.ops[0])](*sides))
            case ast.Call(func=ast.Name(), keywords=[], args=[_, _]) if node.func.id in RELATIONS:
                return self.decided(RELATIONS[node.func.id](*self.sides(node.args, depth)))
            case ast.BinOp() if type(node.op) in _JUNCTIONS:
                return _JUNCTIONS[type(node.op)](*(self.condition(side, depth + 1) for side in (node.left, node.right)))
        raise self.refusal("A condition is x < 1, or (0 < x) & (x < 1), or True.")

    def sides(self, nodes: list[ast.AST], depth: int) -> list[sympy.Expr]:
        values = [self.number(node, depth + 1) for node in nodes]
        if any(value.has(sympy.Piecewise) for value in values):
            raise self.refusal("A condition compares no Piecewise: write its pieces out.")
        return values

    def decided(self, comparison: sympy.Basic) -> sympy.Basic:
        if not comparison.free_symbols and comparison not in (sympy.true, sympy.false):
            # SymPy would look for an answer without end
            raise self.refusal(f"{comparison} compares numbers too close to each other.")
        return comparison

    def count(self, arguments: int) -> None:
        self.arguments += arguments
        if self.arguments > MOST_ARGUMENTS:
            raise self.refusal(f"Max, Min and Piecewise take at most {MOST_ARGUMENTS} arguments in all.")

    def checked(self, value: sympy.Expr) -> sympy.Expr:
        """The value itself, refused unless it is real and finite and all its numbers are within the bounds."""
        if not isinstance(value, sympy.Expr) or value.has(*_INFINITE):
            raise self.refusal("It is not a real finite number everywhere.")
        for number in value.atoms(sympy.Number):
            if number.is_Float and not SMALLEST <= abs(number) <= LARGEST and number != 0:
                raise self.too_large()
            if number.is_Rational and max(abs(number.p), number.q) > _FRACTION:
                raise self.refusal("Write fractions of more than 50 digits as decimals.")
        if not value.free_symbols and abs(float(value)) > LARGEST:
            raise self.too_large()
        if _degree(value) > LARGEST_EXPONENT:
            raise self.refusal(f"Powers of powers and products reach a degree of at most {LARGEST_EXPONENT}.")
        return value

    def too_large(self) -> SpecificationError:
        return self.refusal(
            f"Numbers in it, and what they amount to, have magnitudes from {SMALLEST:g} to {LARGEST:g}."
        )


def _degree(value: sympy.Expr) -> float:
    """A bound of the degree, in the variable or any function of it, of the expanded expression."""
    if value.is_Add or value.is_Piecewise or value.is_Function:
        return max((_degree(part) for part in value.args if isinstance(part, sympy.Expr)), default=1)
    if value.is_Mul:
        return sum(_degree(part) for part in value.args)
    if value.is_Pow and value.exp.is_number:
        return abs(float(value.exp)) * _degree(value.base)
    return 0 if value.is_number else 1
