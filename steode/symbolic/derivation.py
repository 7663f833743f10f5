"""A derivation: ordered steps, each an equation with the reason it holds. Rendered, never typed again."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator

import sympy

from steode.errors import SpecificationError
from steode.parts.spelling import suggestion
from steode.symbolic.printing import latex
from steode.symbolic.prose import with_mathematics

OURS = "derived here"
"""Reference of steps that are our own derivation rather than quoted."""
OWN_STEPS = "Steps without a reference are derived here."


@dataclasses.dataclass(frozen=True)
class Step:
    """One step.

    Attributes
    ----------
    title : short name, unique in its derivation.
    equation : the SymPy relations (or expressions) this step establishes.
    reason : one sentence saying why they hold, in plain text; its formulas are set in LaTeX where the step is rendered.
    reference : where the statement or method comes from.
    """

    title: str
    equation: tuple[sympy.Basic, ...]
    reason: str
    reference: str = OURS

    @property
    def lines(self) -> list[str]:
        """Each equation in LaTeX."""
        return [latex(equation) for equation in self.equation]

    def renamed(self, symbols: dict[sympy.Symbol, sympy.Symbol]) -> "Step":
        """The same step in other symbols."""
        # left as written: what is built anew would be sorted
        with sympy.evaluate(False):
            equation = tuple(entry.xreplace(symbols) for entry in self.equation)
        return dataclasses.replace(self, equation=equation)

    def latex(self) -> str:
        """The equations as one LaTeX display body, one line each."""
        return _gathered(self.lines)

    def markdown(self, number: int | None = None) -> str:
        """Title, reason and equations as Markdown with LaTeX, and the reference unless the step is our own."""
        heading = f"### {number}. {self.title}" if number is not None else f"### {self.title}"
        source = "" if self.reference == OURS else f"\n*{with_mathematics(self.reference)}*\n"
        return f"{heading}\n\n{with_mathematics(self.reason)}\n\n$$\n{self.latex()}\n$$\n{source}"

    @property
    def label(self) -> str:
        """What the equation is called in LaTeX: eq:density-equation."""
        return "eq:" + re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    def _repr_markdown_(self) -> str:
        return self.markdown()


@dataclasses.dataclass(frozen=True, eq=False)
class Derivation:
    """`steps` in the order of the argument; iterate, index by number, or ask for one by title.

    Attributes
    ----------
    begun : steps that are there already.
    finish : what makes all steps of them, called when they are first asked for: solvers do not wait for what is only
        read. None: they are all.
    """

    begun: tuple[Step, ...]
    finish: Callable[[tuple[Step, ...]], Iterable[Step]] | None = None

    @functools.cached_property
    def steps(self) -> tuple[Step, ...]:
        """All steps."""
        return self.begun if self.finish is None else tuple(self.finish(self.begun))

    def __eq__(self, other) -> bool:
        return isinstance(other, Derivation) and self.steps == other.steps

    def __hash__(self) -> int:
        return hash(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, number: int) -> Step:
        return self.steps[number]

    def step(self, title: str) -> Step:
        """The step with this title (upper and lower case are alike). Raises `SpecificationError` if there is none."""
        for step in self.steps:
            if step.title.lower() == title.lower():
                return step
        titles = [step.title for step in self.steps]
        raise SpecificationError("title", "one of " + ", ".join(titles), title, suggestion(title, titles))

    def markdown(self) -> str:
        """The whole derivation as Markdown with display mathematics."""
        parts = [step.markdown(number) for number, step in enumerate(self.steps, start=1)]
        return "\n".join([*parts, f"*{self.sources}*\n"] if self.sources else parts)

    @property
    def sources(self) -> str:
        """Whose the steps without a reference are: one sentence, empty if all have one."""
        return OWN_STEPS if any(step.reference == OURS for step in self.steps) else ""

    def latex(self) -> str:
        """The whole derivation as the body of a LaTeX article.

        Equations are numbered, and labeled by the titles of their steps: \\eqref{eq:density-equation}. It needs the
        packages amsmath and amssymb.
        """
        parts = []
        for step in self.steps:
            reason, reference = (with_mathematics(text, _tex_text) for text in (step.reason, step.reference))
            parts.append(f"\\subsection*{{{step.title}}}\n{reason}")
            parts.append(f"\\begin{{equation}}\\label{{{step.label}}}\n{step.latex()}\n\\end{{equation}}")
            parts.append("" if step.reference == OURS else f"\\emph{{{reference}}}\n")
        return "\n".join([*parts, f"\\emph{{{self.sources}}}\n"] if self.sources else parts)

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def __repr__(self) -> str:
        lines = [f"{number:2d}. {step.title}" for number, step in enumerate(self.steps, start=1)]
        return "Derivation\n" + "\n".join(lines)


class Derived:
    """What a derivation leads to: expressions, and the `derivation` itself, which it shows."""

    derivation: Derivation

    def step(self, title: str) -> Step:
        """One step of the derivation by its title. Raises `SpecificationError` if there is none."""
        return self.derivation.step(title)

    def markdown(self) -> str:
        """The derivation as Markdown with display mathematics."""
        return self.derivation.markdown()

    def latex(self) -> str:
        """The derivation as the body of a LaTeX article."""
        return self.derivation.latex()

    def _repr_markdown_(self) -> str:
        return self.markdown()


def _gathered(lines: list[str]) -> str:
    if len(lines) == 1:
        return lines[0]
    return "\\begin{gathered}\n" + " \\\\[4pt]\n".join(lines) + "\n\\end{gathered}"


def _tex_text(text: str) -> str:
    for plain, escaped in (
        ("\\", r"\textbackslash{}"),
        ("_", r"\_"),
        ("^", r"\^{}"),
        ("&", r"\&"),
        ("%", r"\%"),
        ("#", r"\#"),
    ):
        text = text.replace(plain, escaped)
    return text
