"""Coarse gradient of the classification system, what it does in the plane of a class, and where it cannot succeed.

The staircase's derivative is zero; the chain rule is applied to an unspecified Q, and mu' put in the place of Q'. Every
class then trains in its own subspace, as if it were alone.
"""

import dataclasses
import functools

import sympy
from sympy import Eq, Integral, cos, pi, sin

from steode.symbolic.derivation import Derivation, Derived, Step
from steode.systems.classification import symbols as sym
from steode.systems.classification.spec import ClassificationModel, check_model

READING = "setting read from the abstract of Long, Yin, Xin (arXiv 2011.11256); derived here"
ELEMENTARY = ("identity", "relu")
"""Surrogates for which an arc has an elementary integral."""


@dataclasses.dataclass(frozen=True, eq=False)
class CoarseClassification(Derived):
    """What is derived, in `steode.systems.classification.symbols`.

    Attributes
    ----------
    surrogate : name of mu'.
    derivation : ordered steps with reasons.
    lead : o_y - o_i of two outputs.
    own, rival : derivative of a positive loss with respect to h, with mu' in place of Q', for a neuron that votes for
        the sample's class and for one that votes for the class with the largest wrong output.
    mean_length : E r.
    arc : mean coarse gradient, along and across w, of an own neuron in a plane, from samples of its class at angles
        between phi_1 and phi_2 to w; of a rival it is minus that. Integrals, or closed forms where these are
        elementary.
    pair_lead : the levels that own neurons can have together at x and -x, minus those that the other class has at
        least and the two margins; perfect classification needs it to be >= 0.
    """

    surrogate: str
    derivation: Derivation
    lead: sympy.Expr
    own: sympy.Expr
    rival: sympy.Expr
    mean_length: sympy.Expr
    arc: tuple[sympy.Expr, sympy.Expr]
    pair_lead: sympy.Expr

    def __repr__(self) -> str:
        return f"Coarse gradient of a classifier, surrogate {self.surrogate}\n{self.derivation!r}"


def derive_classification(model: ClassificationModel) -> CoarseClassification:
    """Derive the coarse gradient of a `ClassificationModel` and what follows; its numbers play no part.

    Raises `SpecificationError` if `model` is none.
    """
    check_model(model)
    return derive_for(model.surrogate.name)


@functools.lru_cache(maxsize=8)
def derive_for(surrogate: str) -> CoarseClassification:
    """The derivation for a surrogate of that name."""
    lead = _lead()
    own = _slope(1 - lead.subs(sym.S_y, sym.rest + sym.Q(sym.h)))
    rival = _slope(1 - lead.subs(sym.S_i, sym.rest + sym.Q(sym.h)))
    density = 1 / (sym.r_1 - sym.r_0)
    mean_length = sympy.factor(sympy.integrate(sym.r * density, (sym.r, sym.r_0, sym.r_1)))
    arc = _arc(surrogate, own, density, mean_length)
    found = CoarseClassification(
        surrogate=surrogate,
        derivation=Derivation(()),
        lead=lead,
        own=own,
        rival=rival,
        mean_length=mean_length,
        arc=arc,
        pair_lead=sym.n_y * sym.q - sym.n_i - 2 * sym.m,
    )
    return dataclasses.replace(found, derivation=Derivation(tuple(_steps(found))))


def _lead() -> sympy.Expr:
    """o_y - o_i from the votes of all neurons."""
    y = sym.v / 2 * (sym.S_y - sym.S_i - sym.T)
    i = sym.v / 2 * (sym.S_i - sym.S_y - sym.T)
    return sympy.simplify(y - i)


def _slope(loss: sympy.Expr) -> sympy.Expr:
    """d loss/dh with mu'(h) in place of Q'(h)."""
    derivative = sympy.diff(loss, sym.h)
    return derivative.subs(sympy.Derivative(sym.Q(sym.h), sym.h), sym.slope(sym.h))


def _arc(surrogate: str, own: sympy.Expr, density: sympy.Expr, mean_length: sympy.Expr) -> tuple[sympy.Expr, ...]:
    """Along and across w: (1/C) E[own slope * x] over an arc of the plane."""
    found = []
    for direction in (cos(sym.phi), sin(sym.phi)):
        if surrogate in ELEMENTARY:
            # mu' = 1 on the arc, which for the ReLU lies within a right angle of w
            pull = own.subs(sym.slope(sym.h), 1)
            turned = sympy.integrate(direction, (sym.phi, sym.phi_1, sym.phi_2)) / (2 * pi)
            found.append(sympy.factor(pull * mean_length * turned / sym.C))
        else:
            pull = own.subs(sym.h, sym.r * sym.R * cos(sym.phi)) / sym.v
            inside = -pull * sym.r * direction * density / (2 * pi)
            found.append(-sym.v / sym.C * Integral(inside, (sym.phi, sym.phi_1, sym.phi_2), (sym.r, sym.r_0, sym.r_1)))
    return tuple(found)


def _symbol(text: str) -> sympy.Symbol:
    # braces keep SymPy from reading superscripts into the name
    return sympy.Symbol(f"{{{text}}}", commutative=False)


def _eq(left, right) -> Eq:
    return Eq(left, right, evaluate=False)


def _steps(found: CoarseClassification) -> list[Step]:
    return [*_setting(found), *_plane(found), *_rest(), *_obstacles(found)]


def _setting(found: CoarseClassification) -> list[Step]:
    outputs = [
        _eq(_symbol("o_y"), sym.v / 2 * (sym.S_y - sym.S_i - sym.T)),
        _eq(_symbol("o_i"), sym.v / 2 * (sym.S_i - sym.S_y - sym.T)),
        _eq(_symbol("o_y - o_i"), found.lead),
        _eq(_symbol(r"\ell"), sympy.Max(0, 1 - found.lead)),
    ]
    block = _symbol(r"\mathrm{E}[g_j]\big|_{V_i}")
    return [
        Step(
            "loss of one sample",
            tuple(outputs),
            "A neuron adds v/2 times its level to its own class and subtracts it from all others, so that only sums of "
            "levels over classes count. Levels are integers: there is no loss if and only if the lead is at least 1/v, "
            "with a vote v of 1 or more if and only if the class has the largest sum.",
            READING,
        ),
        Step(
            "coarse gradient of one sample",
            (
                _eq(_symbol(r"\text{own: } \partial\ell/\partial h"), found.own),
                _eq(_symbol(r"\text{rival: } \partial\ell/\partial h"), found.rival),
                _eq(_symbol(r"\text{other: } \partial\ell/\partial h"), sympy.Integer(0)),
                _eq(_symbol("g_j"), _symbol(r"(\partial\ell/\partial h_j)\, x")),
            ),
            "The chain rule on samples with positive loss, with mu' in the place of the derivative of Q. Own neurons "
            "vote for the sample's class, rivals for the class with the largest wrong sum; where several classes tie "
            "they share the derivative.",
            READING,
        ),
        Step(
            "classes train apart",
            (_eq(block, _symbol(r"\tfrac1C\,\mathrm{E}\bigl[g_j \mid y = i\bigr]")),),
            "A sample lies in the subspace of its class, and meets only the part of the weights that lies there; its "
            "coarse gradient lies there too. Subspaces are orthogonal, so that what happens in one depends on nothing "
            "outside it, in every step.",
        ),
    ]


def _plane(found: CoarseClassification) -> list[Step]:
    gated, longer = ", within a right angle of w", " and become longer"
    if found.surrogate == "identity":
        gated = longer = ""
    along = _symbol(r"\mathrm{E}[g]_{w}"), _symbol(r"\mathrm{E}[g]_{\perp}")
    means = r"\mathrm{E}\bigl[1_{\ell>0}\,\mu'(h)\,h\bigr]"
    rate = _symbol(rf"\mp\tfrac{{v}}{{C}}\,{means}")
    steps = [
        Step(
            "coarse gradient from an arc",
            (_eq(_symbol(r"\mathrm{E}\,r"), found.mean_length), *map(_eq, along, found.arc)),
            f"In a plane, an own neuron; samples with positive loss at angles phi_1 to phi_2 to it{gated}. The step "
            f"is against the gradient: own neurons move towards the arc{longer}. Rivals have the other sign.",
        ),
        Step(
            "lengths",
            (
                _eq(_symbol(r"w\cdot\mathrm{E}[g]"), rate),
                sympy.Ge(_symbol(means), _symbol(r"\delta\,\mathrm{E}\bigl[1_{\ell>0}\,h_+\bigr]"), evaluate=False),
            ),
            "Minus for own neurons, plus for rivals. If mu' vanishes for negative h the mean is not negative: own "
            "neurons only grow along themselves, rivals only shrink. A lower bound delta of mu' for positive h says "
            "how fast: at least delta times the pre-activation of samples with positive loss.",
        ),
    ]
    return steps


def _rest() -> list[Step]:
    zero = _symbol(r"\mathrm{E}[g_j] = 0 \text{ for all } j")
    off = _symbol(r"\mathrm{P}\bigl(\ell>0,\ h_j>0 \text{ for some own } j \text{ or leading rival } j\bigr) = 0")
    hull = _symbol(r"0 \in \mathrm{int}\,\mathrm{conv}\{w_j : j \text{ own}\}")
    every = _symbol(r"\text{for every } x \ne 0 \text{ in } V_y \text{ some own } h_j > 0")
    return [
        Step(
            "states of rest",
            (sympy.Equivalent(zero, off, evaluate=False),),
            "For a surrogate that is zero below and positive above zero. By the step before, a vanishing coarse "
            "gradient needs every own neuron off wherever there is loss, and the leading rivals too, so that no sum "
            "there is positive. Such a state is perfect, or leaves a cone of samples for which no neuron is on. With "
            "mu' = 0 on the highest level there are others: loss where everything is saturated.",
        ),
        Step(
            "covering",
            (sympy.Equivalent(hull, every, evaluate=False),),
            "Separation of the origin from a convex set. Perfect classification needs it, because with all own neurons "
            "off the sum is 0 and no sum is less; so there must be at least one own neuron more than dimensions. With "
            "it, a state of rest of an admissible surrogate is perfect.",
        ),
    ]


def _obstacles(found: CoarseClassification) -> list[Step]:
    pair = sympy.Ge(_symbol(r"S_y(x) + S_y(-x)"), _symbol(r"S_i(x) + S_i(-x) + 2m"), evaluate=False)
    same = _eq(
        _symbol(r"\mathrm{E}[g_j] - \mathrm{E}[g_k]"),
        _symbol(r"-\tfrac vC\,\mathrm{E}\bigl[1_{\ell>0}\,(1 - 1)\,x\bigr] = 0"),
    )
    return [
        Step(
            "pairs",
            (pair, sympy.Ge(found.pair_lead, 0, evaluate=False)),
            "No loss at a sample and at its opposite, added. A neuron whose weights in the subspace are not zero is on "
            "for one of the two, never for both: own levels are at most q each, the others at least 1 each. "
            "With one bit, q = 1, and equal numbers of neurons no weights satisfy it, unless two neurons of that class "
            "vanish there exactly.",
        ),
        Step(
            "identity",
            (same,),
            "With mu' = 1 all own neurons of a class get the same coarse gradient: they are shifted together. For "
            "samples orthogonal to the shift their pre-activations stay what they were at the start. If that was at "
            "most 1, the own levels of a sample and its opposite sum to the number of own neurons for ever: too few.",
        ),
    ]
