"""The limit of a committee machine derived from one step of its training, a few units written out.

Every equation is computed: moments of one step by expansion, the responses by differentiating the residual, rates of
overlaps by Ito's generator, Gaussian averages in `gaussian_integrals`.
"""

import dataclasses
import functools

import sympy

from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Derivation, Derived
from steode.symbolic.expectation import expectation
from steode.systems.committee import gaussian_integrals as forms
from steode.systems.committee import narrative
from steode.systems.committee.letters import Letters
from steode.systems.committee.spec import CommitteeModel, check_model

MOST = 2
"""Units of student and of teacher that are written out."""
F, SLOPE, CURVE = sympy.Function("f"), sympy.Function("f'"), sympy.Function("f''")


@dataclasses.dataclass(frozen=True, eq=False)
class CommitteeLimit(Derived):
    """The equations of a committee machine, with up to two units of student and teacher written out.

    Attributes
    ----------
    derivation : the argument, step by step.
    mean, covariance : of d times one step of a coordinate, without the surrogate derivative s: (K, 1) and (K, K).
    responses : c and c* as averages over pairs: A_kl = E[f'(h_k) f'(h_l)], B_kl = E[f''(h_k) f(h_l)]; (K, K + M).
    overlap_rates : rates of R and S where weights are not quantized, None where they are.
    closure_rates : rates of the means (K, 1) and covariances (K, K) of Gaussian weights, None where these are exact.
    pair, four : closed averages of two and of four units of a known activation; None: by quadrature.
    """

    derivation: Derivation
    mean: sympy.Matrix
    covariance: sympy.Matrix
    responses: sympy.Matrix
    overlap_rates: tuple[sympy.Matrix, sympy.Matrix] | None
    closure_rates: tuple[sympy.Matrix, sympy.Matrix] | None
    pair: forms.PairAverages | None
    four: sympy.Expr | None

    def __repr__(self) -> str:
        return f"Limit of a committee machine\n{self.derivation!r}"


def derive(model: CommitteeModel) -> CommitteeLimit:
    """Derive the limit of a committee machine, with up to two units of student and teacher written out.

    Numbers of the model play no part; whether weights are quantized, output weights trained, inputs quantized, and
    which activation it is do. Raises `SpecificationError` if `model` is not a CommitteeModel.
    """
    check_model(model)
    own = isinstance(model.activation, str) and model.activation_surrogate is None
    return _derived(
        min(model.hidden, MOST),
        min(model.M, MOST),
        model.activation if own else None,
        not model.has_exact_order_parameters,
        model.output_learning_rate is not None,
    )


@functools.lru_cache(maxsize=32)
def _derived(hidden: int, teacher: int, name: str | None, quantized: bool, trained: bool) -> CommitteeLimit:
    letters = Letters(hidden, teacher)
    mean, covariance = one_step(letters)
    found = CommitteeLimit(
        derivation=Derivation(()),
        mean=mean,
        covariance=covariance,
        responses=responses(letters),
        overlap_rates=None if quantized else overlap_rates(letters),
        closure_rates=closure_rates(letters) if quantized else None,
        pair=None if name is None else forms.pair_averages(name),
        four=forms.four_average() if name == "erf" else None,
    )
    steps = narrative.steps(letters, found, name, trained)
    return dataclasses.replace(found, derivation=Derivation(tuple(steps)))


def one_step(letters: Letters) -> tuple[sympy.Matrix, sympy.Matrix]:
    """d times mean and second moments of one step of a coordinate, the errors expanded in its own small part.

    The rest of the pre-activations does not know z: there the errors e have mean squares D and no correlation with it.
    """
    z, x = sym.z, sym.x
    second = {(0, 0): sympy.S.One, (2, 0): sym.alpha_2, (1, 1): sym.alpha_1}
    inputs = ((z, x), lambda i, j: second.get((i, j), sympy.S.Zero))
    noise = (letters.e, lambda *powers: _pair_moment(letters.D, powers))
    root = sympy.sqrt(sym.d)
    moved, steps = [], []
    for k in range(letters.hidden):
        own = sum(letters.c[k, j] * letters.Q[j] * z for j in range(letters.hidden))
        own += sum(letters.cstar[k, n] * letters.wstar[n] * x for n in range(letters.teacher))
        steps.append(-sym.eta / root * (letters.e[k] + own / root) * z)
        moved.append(sympy.factor(sym.d * expectation(steps[-1], [inputs, noise])))

    def square(k, j):
        # a product of leading parts: the rest is smaller by the square root of d
        leading = sym.eta**2 * letters.e[k] * letters.e[j] * z**2 / sym.batch
        return expectation(leading, [inputs, noise])

    return sympy.Matrix(moved), sympy.Matrix(letters.hidden, letters.hidden, square)


def _pair_moment(matrix: sympy.Matrix, powers: tuple[int, ...]) -> sympy.Expr:
    """E of nothing, of one factor (none) or of two."""
    factors = [number for number, power in enumerate(powers) for _ in range(power)]
    if len(factors) < 2:
        return sympy.S.One if not factors else sympy.S.Zero
    return matrix[factors[0], factors[1]]


def responses(letters: Letters) -> sympy.Matrix:
    """E[de_k/dh_p] by differentiating e_k = v_k f'(h_k) sum_p u_p f(h_p), averages of pairs named."""
    units, signed = letters.units, letters.signed
    # f, f' and f'' by names, so that each product is one average
    chain = {F: SLOPE, SLOPE: CURVE}

    def differentiated(k, p):
        total = sympy.S.Zero
        for q, unit in enumerate(units):
            factor = letters.v[k] * signed[q]
            left, right = SLOPE(letters.h[k]), F(unit)
            if units[p] == letters.h[k]:
                total += factor * chain[SLOPE](letters.h[k]) * right
            if units[p] == unit:
                total += factor * left * chain[F](unit)
        return total

    def averaged(k, p):
        names = {}
        for q, unit in enumerate(units):
            names[CURVE(letters.h[k]) * F(unit)] = letters.curvature[k, q]
            names[SLOPE(letters.h[k]) * SLOPE(unit)] = letters.slope[k, q]
        return sympy.expand(differentiated(k, p)).subs(names)

    return sympy.Matrix(letters.hidden, len(units), averaged)


def overlap_rates(letters: Letters) -> tuple[sympy.Matrix, sympy.Matrix]:
    """Rates of R = E[w w*^T] and S = E[w w^T] by the generator of the coordinate's equation with Q(w) = w."""
    own = dict(zip(letters.Q, letters.w, strict=True))
    drift = one_step(letters)[0].subs(own)
    noise = sym.eta**2 * sym.alpha_2 / sym.batch * letters.D

    def generator(function):
        first = [sympy.diff(function, w) for w in letters.w]
        rate = sum(b * slope for b, slope in zip(drift, first, strict=True))
        pairs = [(k, j) for k in range(letters.hidden) for j in range(letters.hidden)]
        rate += sum(noise[k, j] * sympy.diff(first[k], letters.w[j]) / 2 for k, j in pairs)
        return _averaged(letters, sympy.expand(rate))

    cross = sympy.Matrix(letters.hidden, letters.teacher, lambda k, n: generator(letters.w[k] * letters.wstar[n]))
    square = sympy.Matrix(letters.hidden, letters.hidden, lambda k, j: generator(letters.w[k] * letters.w[j]))
    return cross, square


def _averaged(letters: Letters, polynomial: sympy.Expr) -> sympy.Expr:
    """Quadratic monomials of w and w* replaced by their averages R, S, T."""
    variables = (*letters.w, *letters.wstar)
    whole = sympy.Matrix(sympy.BlockMatrix([[letters.S, letters.R], [letters.R.T, letters.T]]))
    group = [(variables, lambda *powers: _pair_moment(whole, powers))]
    return sympy.collect(expectation(polynomial, group), sym.eta)


def closure_rates(letters: Letters) -> tuple[sympy.Matrix, sympy.Matrix]:
    """Rates of mean and covariance of weights that are Gaussian given w*, with E[Q_k] and slopes E[Q'_k] named.

    Cov(w_k, Q(w_l)) = Sigma_kl E[Q'(w_l)] by Stein.
    """
    image = dict(zip(letters.Q, letters.image, strict=True))
    drift = one_step(letters)[0]
    noise = sym.eta**2 * sym.alpha_2 / sym.batch * letters.D
    # covariance of w_k with the drift of w_l: the drift is linear in Q
    slopes = sympy.Matrix(letters.hidden, letters.hidden, lambda j, m: sympy.diff(drift[j], letters.Q[m]))
    together = letters.spread * sympy.diag(*letters.weight_slope) * slopes.T
    return drift.subs(image), (together + together.T + noise).applyfunc(sympy.expand)
