"""Symbols of a committee machine with a few units written out."""

import sympy


class Letters:
    """Symbols of `hidden` student and `teacher` units: weights of one coordinate, pre-activations, averages."""

    def __init__(self, hidden: int, teacher: int):
        def row(name: str, count: int, start: str = "") -> tuple[sympy.Symbol, ...]:
            return tuple(sympy.Symbol(f"{name}{start}_{k + 1}", real=True) for k in range(count))

        def grid(name: str, rows: int, columns: int, symmetric: bool = False) -> sympy.Matrix:
            def entry(i, j):
                i, j = (min(i, j), max(i, j)) if symmetric else (i, j)
                return sympy.Symbol(f"{name}_{{{i + 1}{j + 1}}}", real=True)

            return sympy.Matrix(rows, columns, entry)

        self.hidden, self.teacher = hidden, teacher
        self.w, self.Q, self.v = (row(name, hidden) for name in ("w", "Q", "v"))
        self.h, self.e = row("h", hidden), row("e", hidden)
        self.wstar, self.vstar, self.hstar = (row(name, teacher, "^{*}") for name in ("w", "v", "h"))
        self.c, self.cstar = grid("c", hidden, hidden), grid("c^{*}", hidden, teacher)
        self.D = grid("D", hidden, hidden, symmetric=True)
        self.S, self.R = grid("S", hidden, hidden, symmetric=True), grid("R", hidden, teacher)
        self.T = grid("T", teacher, teacher, symmetric=True)
        self.slope = grid("A", hidden, hidden + teacher)
        self.curvature = grid("B", hidden, hidden + teacher)
        self.mean, self.image = row("m", hidden), row(r"\bar{Q}", hidden)
        self.spread = grid(r"\Sigma", hidden, hidden, symmetric=True)
        self.weight_slope = row("g", hidden)

    @property
    def units(self) -> tuple[sympy.Symbol, ...]:
        """Pre-activations of student and teacher."""
        return (*self.h, *self.hstar)

    @property
    def signed(self) -> tuple[sympy.Expr, ...]:
        """Output weights of the residual: v and -v*."""
        return (*self.v, *(-value for value in self.vstar))
