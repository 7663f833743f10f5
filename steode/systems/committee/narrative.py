"""The derivation of a committee machine as steps with reasons; every equation shown is a result of the computation."""

import sympy

from steode.errors import ConvergenceError
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import OURS, Step
from steode.systems.committee import gaussian_integrals as forms
from steode.systems.committee.letters import Letters

SAAD_SOLLA = "Saad and Solla, Phys. Rev. E 52, 4225 (1995)"
ARC_COSINE = "Cho and Saul, Kernel methods for deep learning (2009)"
_F, _DELTA = sympy.Function("f"), sympy.Symbol("delta", real=True)


def steps(letters: Letters, found, name: str | None, trained: bool) -> list[Step]:
    """All steps for an activation of this name; None is one without closed forms."""
    parts = [
        _errors(letters),
        _one_step(letters, found),
        _stein(letters, found),
        _equation(letters),
        _density(),
        _averages(found, name),
        *([_four(found)] if name == "erf" else []),
        _error(letters),
        _overlaps(letters, found) if found.overlap_rates is not None else _closure(letters, found),
    ]
    if trained:
        parts.append(_readout(letters))
    if name == "erf":
        parts.append(_plateau())
    return parts


def _equal(name: str, value) -> sympy.Eq:
    return sympy.Eq(sympy.Symbol(name), value, evaluate=False)


def _errors(letters: Letters) -> Step:
    residual = sum(u * _F(h) for u, h in zip(letters.signed, letters.units, strict=True)) - sym.sigma * sym.xi
    slopes = [sympy.Derivative(_F(h), h) for h in letters.h]
    errors = [_equal(f"e_{k + 1}", letters.v[k] * _DELTA * slopes[k]) for k in range(letters.hidden)]
    return Step(
        "errors of the units",
        (sympy.Eq(_DELTA, residual, evaluate=False), *errors),
        "The gradient of half the squared residual with respect to a hidden unit's pre-activation; a surrogate takes "
        "the place of f' where one is given. Pre-activations of student and teacher are sums of many terms, jointly "
        "Gaussian as the dimension grows, with a covariance made of the overlaps of weights.",
    )


def _one_step(letters: Letters, found) -> Step:
    mean = [_equal(rf"\mathrm{{E}}[\Delta w_{k + 1}]\, d", value) for k, value in enumerate(found.mean)]
    pairs = [(k, j) for k in range(letters.hidden) for j in range(k + 1)]
    square = [_equal(rf"\mathrm{{E}}[\Delta w_{k + 1} \Delta w_{j + 1}]\, d", found.covariance[k, j]) for k, j in pairs]
    return Step(
        "one step of a coordinate",
        (*mean, *square),
        "A coordinate carries its K weights and M teacher weights. Its own part of the pre-activations is of order "
        "1/sqrt(d): the errors are expanded to first order in it. Their mean derivatives by pre-activations of "
        "student and teacher are c and c*, and the inputs' moments are alpha_1 = E[x z], alpha_2 = E[z^2]. D_kl = "
        "E[e_k e_l].",
    )


def _stein(letters: Letters, found) -> Step:
    count = letters.hidden
    own = [_equal(f"c_{{{k + 1}{j + 1}}}", found.responses[k, j]) for k in range(count) for j in range(count)]
    cross = [
        _equal(f"c^{{*}}_{{{k + 1}{n + 1}}}", found.responses[k, count + n])
        for k in range(count)
        for n in range(letters.teacher)
    ]
    return Step(
        "responses",
        (*own, *cross),
        "By Stein's lemma the covariances E[e_k h_l] are that covariance times these averages of derivatives. Each "
        "is a sum over pairs of units, A_kl = E[f'(h_k) f'(h_l)], and B_kl with the second derivative of f at h_k "
        "and f at h_l, the teacher's units counted after the student's; no covariance is inverted, so that units may "
        "be parallel.",
    )


def _equation(letters: Letters) -> Step:
    whole = sympy.Eq(
        sympy.Symbol(r"\mathrm{d}w", commutative=False),
        sympy.Symbol(
            r"-\eta\, s\left[\alpha_2\, c\, Q(w) + \alpha_1\, c^{*} w^{*}\right]\mathrm{d}\tau"
            r" + \eta\, s \sqrt{\alpha_2/B}\; D^{1/2}\, \mathrm{d}B",
            commutative=False,
        ),
        evaluate=False,
    )
    return Step(
        "stochastic differential equation",
        (whole,),
        "In rescaled time tau = step/d the steps of a coordinate add up to a diffusion of K weights. All coordinates "
        "share the matrices c, c* and D, which depend on the law of the weights through their overlaps alone. Weight "
        "decay adds its own pull to zero.",
    )


def _density() -> Step:
    flow = sympy.Symbol(
        r"\eta \sum_k \frac{\partial}{\partial w_k}"
        r"\left[s\,(\alpha_2\, c\, Q(w) + \alpha_1\, c^{*} w^{*})_k\, \mu\right]"
        r" + \frac{\eta^2 \alpha_2}{2B} \sum_{kl} D_{kl} \frac{\partial^2}{\partial w_k \partial w_l}"
        r"\left[s_k s_l\, \mu\right]",
        commutative=False,
    )
    rate = sympy.Symbol(r"\partial_\tau\, \mu(w \,|\, w^{*})", commutative=False)
    return Step(
        "density equation",
        (sympy.Eq(rate, flow, evaluate=False),),
        "The Fokker-Planck equation of the last step: one density of K weights for every value of w*, all coupled by "
        "the overlaps. Particles with the force of their own overlaps solve it as their number grows.",
    )


def _averages(found, name: str | None) -> Step:
    if found.pair is None:
        nothing = sympy.Symbol(r"\mathrm{E}[g(u, w)] = \int g(u, w)\, \varphi_C(u, w)\, \mathrm{d}u\, \mathrm{d}w")
        return Step(
            "averages of pairs",
            (nothing,),
            "This activation has no closed forms here: averages over pairs are integrated numerically, cut where "
            "derivatives jump, and D over points in all units.",
        )
    pair = found.pair
    reason = {
        "erf": "By Price's theorem the average of f(u) f(w) grows with the covariance at the rate E[f'(u) f'(w)], "
        "which is the mass of a Gaussian tilted by both units; the second derivative -u f'(u) tilts by u alone. "
        "C_uu, C_ww and C_uw are the entries of the covariance for two units.",
        "relu": "By Price's theorem twice: the density of the pair at zero is integrated over the covariance to the "
        "chance that both units are active, and that to the product. The second derivative is a point mass at zero.",
        "linear": "Moments of the Gaussian itself.",
    }[name]
    return Step(
        "averages of pairs",
        (
            _equal(r"\mathrm{E}[f'(u) f'(w)]", pair.slopes),
            _equal(r"\mathrm{E}[f(u) f(w)]", pair.product),
            _equal(r"\mathrm{E}[f''(u) f(w)]", pair.curvature),
        ),
        reason,
        {"erf": SAAD_SOLLA, "relu": ARC_COSINE}.get(name, OURS),
    )


def _four(found) -> Step:
    mass = sympy.Symbol(r"\Lambda", positive=True)
    covariance = forms.four_covariance()
    block = (sympy.eye(2) + covariance[:2, :2]).det()
    tilted = [sympy.Symbol(rf"\tilde C_{{{pair}}}", real=True) for pair in ("ii", "jj", "ij")]
    values = forms.tilted(covariance, 2)
    names = dict(zip((forms.a, forms.b, forms.c), tilted, strict=True))
    shown = 2 / sympy.pi / sympy.sqrt(mass) * forms.pair_averages("erf").product.subs(names, simultaneous=True)
    back = {mass: block} | dict(zip(tilted, (values[2, 2], values[3, 3], values[2, 3]), strict=True))
    if sympy.simplify((shown.subs(back) / found.four) ** 2 - 1) != 0:
        raise ConvergenceError("the average over four units is not the one of its tilted pair")
    return Step(
        "averages of four units",
        (
            sympy.Eq(mass, sympy.expand(block), evaluate=False),
            sympy.Eq(tilted[2], values[2, 3], evaluate=False),
            _equal(r"\mathrm{E}[f'(h_k) f'(h_l) f(h_i) f(h_j)]", shown),
        ),
        "D_kl = v_k v_l E[f'(h_k) f'(h_l) (delta^2 + sigma^2 xi^2)] needs four units. Tilting by h_k and h_l leaves "
        "the average of the pair h_i, h_j with another covariance.",
        SAAD_SOLLA,
    )


def _error(letters: Letters) -> Step:
    count = letters.hidden + letters.teacher
    products = sympy.Matrix(count, count, lambda p, q: sympy.Symbol(f"F_{{{min(p, q) + 1}{max(p, q) + 1}}}", real=True))
    signed = sympy.Matrix(letters.signed)
    return Step(
        "generalization error",
        (sympy.Eq(sym.eps_g, sympy.expand((signed.T * products * signed)[0] / 2), evaluate=False),),
        "Half the mean square of the noiseless residual, F_pq = E[f(h_p) f(h_q)], the teacher's units after the "
        "student's.",
    )


def _rate(symbol: sympy.Symbol, value) -> sympy.Eq:
    return sympy.Eq(sympy.Derivative(symbol, sym.tau), value, evaluate=False)


def _overlaps(letters: Letters, found) -> Step:
    cross, square = found.overlap_rates
    lines = [_rate(letters.R[k, n], cross[k, n]) for k in range(letters.hidden) for n in range(letters.teacher)]
    lines += [_rate(letters.S[k, j], square[k, j]) for k in range(letters.hidden) for j in range(k + 1)]
    return Step(
        "equations of the overlaps",
        tuple(lines),
        "Weights are not quantized: Ito's formula for w_k w*_n and w_k w_l, averaged over the coordinates, gives "
        "closed equations for R_kn = E[w_k w*_n] and S_kl = E[w_k w_l], where T_nm = E[w*_n w*_m]. They are exact.",
        SAAD_SOLLA,
    )


def _closure(letters: Letters, found) -> Step:
    mean, spread = found.closure_rates
    lines = [_rate(letters.mean[k], mean[k]) for k in range(letters.hidden)]
    lines += [_rate(letters.spread[k, j], spread[k, j]) for k in range(letters.hidden) for j in range(k + 1)]
    return Step(
        "Gaussian closure",
        tuple(lines),
        "The overlaps of quantized weights do not close. If given w* the weights of a coordinate are taken as "
        "Gaussian with mean m and covariance Sigma, Stein's lemma gives Cov(w_k, Q(w_l)) = Sigma_kl g_l with the "
        "mean slope g_l = E[Q'(w_l)], and E[Q_k Q_l] is an average over bivariate normal cells. An approximation.",
    )


def _readout(letters: Letters) -> Step:
    time = sympy.Symbol(r"\eta_v", positive=True)
    units = zip(letters.signed, letters.units, strict=True)
    lines = []
    residual = [(u, sympy.Symbol(rf"F_{{{{k}}{number + 1}}}")) for number, (u, _) in enumerate(units)]
    for k in range(letters.hidden):
        value = sum(
            u * sympy.Symbol(f"F_{{{min(k, p) + 1}{max(k, p) + 1}}}", real=True) for p, (u, _) in enumerate(residual)
        )
        lines.append(_rate(letters.v[k], -time * value))
    return Step(
        "output weights",
        tuple(lines),
        "An output weight moves by (eta_v/d) delta f(h_k) in a step: of order 1/d like the overlaps, so that in the "
        "limit it follows its mean, without noise of its own. With a rate that does not fall with d it would be at "
        "its optimum at all times.",
    )


def _plateau() -> Step:
    # 2 K - 1, so that SymPy knows its sign
    odd, shown = sympy.symbols("n K", positive=True)
    count = (odd + 1) / 2
    length, overlap = 1 / odd, 1 / sympy.sqrt(count * odd)
    pair = forms.pair_averages("erf")

    def at(value, a, b, c):
        return value.subs({forms.a: a, forms.b: b, forms.c: c}, simultaneous=True)

    alike, apart = (length, length, length), (length, 1, overlap)
    total = count * (at(pair.slopes, *alike) + at(pair.curvature, *alike) - at(pair.curvature, *apart))
    across = -at(pair.slopes, *apart)
    rates = total * overlap + across, total * length + count * across * overlap
    if any(sympy.simplify(rate) != 0 for rate in rates):
        raise ConvergenceError("the unspecialized state is not at rest in the derived equations")
    products = count**2 * (at(pair.product, *alike) - 2 * at(pair.product, *apart)) + count * at(pair.product, 1, 1, 1)
    values = [
        sympy.simplify(sympy.simplify(value).subs(odd, 2 * shown - 1)) for value in (length, overlap, products / 2)
    ]
    return Step(
        "unspecialized plateau",
        (_equal("S_{kl}", values[0]), _equal("R_{kn}", values[1]), sympy.Eq(sym.eps_g, values[2], evaluate=False)),
        "Without quantization, for small rates, K = M, output weights 1 and an orthonormal teacher, units that are "
        "all alike come to rest here: put into the equations of the overlaps both drifts vanish. The state is left "
        "only by an asymmetry, which the limit does not make by itself.",
        SAAD_SOLLA,
    )
