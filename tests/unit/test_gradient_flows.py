"""Five gradient flows: what is derived holds identically, what makes no sense is refused, files are read."""

import itertools
import pathlib

import numpy as np
import pytest
import sympy

import steode
from steode import gradient_flows as flows
from steode.errors import SpecificationError
from steode.systems.gradient_flows import references
from steode.systems.gradient_flows.derivations import completion, cooccurrence, potentials
from steode.systems.gradient_flows.studies import _places

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("flow_*.toml"))
u, w = sympy.symbols("u w", positive=True)


def test_a_flow_is_minus_the_gradient_and_keeps_only_what_it_keeps():
    flow = flows.gradient_flow((u * w - 1) ** 2 / 2, (u, w))
    assert flow.rates == (w * (1 - u * w), u * (1 - u * w))
    flow = flow.keep("difference of squares", u**2 - w**2, "Balance.")
    assert list(flow.conserved) == ["difference of squares"]
    with pytest.raises(SpecificationError, match="conserves"):
        flow.keep("sum", u + w, "Wrong.")


def test_a_reduction_has_to_have_the_rates_of_the_flow():
    flow = flows.gradient_flow((u * w - 1) ** 2 / 2, (u, w))
    p, s = sympy.symbols("p s")
    meanings = (u * w, u**2 + w**2)
    assert flow.reduce((p, s), meanings, (s * (1 - p), 4 * p * (1 - p)), "Closed.").reduction.variables == (p, s)
    with pytest.raises(SpecificationError, match="follows from the flow"):
        flow.reduce((p, s), meanings, (s * (1 - p), 2 * p * (1 - p)), "Half of it.")


def test_the_matrix_flow_of_two_factors_is_balanced():
    d = completion.d
    W_1, W_2, M = (sympy.MatrixSymbol(name, d, d) for name in ("W_1", "W_2", "M"))
    flow = flows.gradient_flow(sympy.Trace(M.T * W_2 * W_1), (W_1, W_2))
    assert flow.rates == (-W_2.T * M, -M * W_1.T)
    flow.keep("balance", W_2.T * W_2 - W_1 * W_1.T, "Neighbors.")
    with pytest.raises(SpecificationError):
        flow.keep("wrong side", W_2 * W_2.T - W_1 * W_1.T, "Not neighbors.")


CONSERVED = {
    "cooccurrence": (flows.CooccurrenceModel(), {"inner layers", "attention"}),
    "diagonal": (flows.DiagonalModel(), {"the two signs"}),
    "cubic diagonal": (flows.DiagonalModel(depth=3), {"the two signs"}),
    "sparse": (flows.SparseModel(), {"the two signs", "v and w"}),
    "univariate": (flows.UnivariateModel(), {"layers"}),
    "completion": (flows.CompletionModel(), {"balance of factors 1 and 2", "balance of factors 2 and 3"}),
}


@pytest.mark.parametrize("name", CONSERVED)
def test_conserved_quantities_of_the_five_flows(name):
    model, expected = CONSERVED[name]
    found = steode.derive(model)
    assert set(found.conserved) == expected
    assert found.step("gradient flow").lines
    assert found.markdown().count("###") == len(found.derivation)


def test_published_identity_of_the_transformer():
    """d|sum_j a_j w_j|^2/dt = (2 m_1/n) sum_i g_i y_i F_i: F_i is G.X p, whose weighted sum is G.c, G = W_V^T W^T a."""
    flow, co = steode.derive(flows.CooccurrenceModel()), cooccurrence
    v, a, c = co.W.T * co.a, co.a, co.c
    G = co.W_V.T * v
    expected = a.T * a * c.T * G + G.T * c * a.T * a
    assert (flow.rate_of(v.T * v) - expected).doit().expand().doit().is_ZeroMatrix
    assert flow.reduction.variables == co.REDUCED


def test_slope_of_the_published_margin_objective_is_the_potential():
    """q'(z) = asinh(z/2), and beta = 2 alpha^2 sinh(4 q) inverts to a multiple of it at mu = alpha^2."""
    slope = sympy.diff(potentials.margin_entropy(), potentials.size)
    assert sympy.simplify(slope - sympy.asinh(potentials.size / (2 * potentials.mu))) == 0
    beta = steode.derive(flows.DiagonalModel()).functions["coefficient"]
    potential = (slope / 4).subs(potentials.mu, potentials.alpha**2).subs(potentials.size, beta)
    assert sympy.simplify(potential.subs({potentials.alpha: 3, potentials.q: sympy.Rational(1, 7)}).evalf(30) * 7) == (
        pytest.approx(1.0, abs=1e-25)
    )


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_volume_density_is_that_of_the_metric_written_with_matrix_powers(depth):
    """The operator A as a d^2 x d^2 matrix from powers of W W^T and W^T W; its determinant is the squared density."""
    W = np.random.default_rng(1).standard_normal((3, 3))

    def power(symmetric, exponent):
        values, vectors = np.linalg.eigh(symmetric)
        return vectors * values**exponent @ vectors.T

    terms = [np.kron(power(W @ W.T, (depth - k) / depth), power(W.T @ W, (k - 1) / depth)) for k in range(1, depth + 1)]
    found = flows.volume_density(flows.CompletionModel(depth=depth), W)
    assert found == pytest.approx(np.linalg.det(sum(terms)) ** -0.5, rel=1e-10)


def test_volume_of_infinite_depth_is_the_limit_of_finite_depths_at_order_one_over_depth():
    W = np.array([[1.0, 0.3], [0.2, 0.5]])
    deep = flows.volume_density(flows.CompletionModel(depth=0), W)
    # a/N: d^2 = 4 factors of N^{1/2}
    gaps = [abs(flows.volume_density(flows.CompletionModel(depth=n), W) * n**2 / deep - 1) for n in (5, 10, 20)]
    assert all(1.8 < high / low < 2.2 for high, low in itertools.pairwise(gaps))


def test_volume_is_larger_nearer_to_rank_one():
    at = (np.array([[1, a], [a, 1]]) for a in (0.0, 0.5, 0.9, 0.99))
    density = [flows.volume_density(flows.CompletionModel(), W) for W in at]
    assert density == sorted(density)
    assert density[-1] > 15 * density[0]


def test_kernel_interpolant_tends_to_the_natural_cubic_spline_as_one_over_reach():
    points = np.linspace(-0.8, 0.75, 200)
    gaps = []
    for reach in (4.1, 8.2, 16.4):
        model = flows.UnivariateModel(reach=reach, width=20_000)
        kernel, spline = references.kernel_interpolant(model, points), references.natural_spline(model, points)
        gaps.append(np.abs(kernel - spline).max())
    assert all(high / low == pytest.approx(2, rel=0.1) for high, low in itertools.pairwise(gaps))


def test_places_of_bending_are_counted_by_what_they_hold():
    assert _places(np.array([0.0, 0.001, 0.5, 0.9]), np.array([5.0, 5.0, 9.0, 0.1])) == 2


def test_the_margin_problems_have_their_known_solutions():
    inputs = flows.DiagonalModel().data()["inputs"]
    small, large = (references.entropy_margin(inputs, mu) for mu in (1e-6, 1e6))
    ends = [references.max_margin(inputs, norm) for norm in (1, 2)]
    for found, end, gap in zip((small, large), ends, (2e-2, 2e-2), strict=True):
        assert np.linalg.norm(found / np.linalg.norm(found) - end / np.linalg.norm(end)) < gap


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_files_are_read(path):
    asked = flows.read_study(path)
    assert asked.title
    assert steode.derive(asked.cases[""]).derivation


def test_there_is_an_example_of_every_system():
    assert len({type(flows.read_study(path).cases[""]) for path in EXAMPLES}) == 5


REFUSED = {
    "samples": lambda: flows.CooccurrenceModel(samples=61),
    "neurons": lambda: flows.CooccurrenceModel(neurons=3),
    "depth": lambda: flows.DiagonalModel(depth=1),
    "inputs": lambda: flows.DiagonalModel(inputs=[[1.0], [1.0, 2.0]]),
    "dim": lambda: flows.SparseModel(samples=10, dim=5),
    "strength": lambda: flows.SparseModel(linear=0, strength=0.0),
    "x": lambda: flows.UnivariateModel(x=(0.0, 0.0), y=(1.0, 2.0)),
    "reach": lambda: flows.UnivariateModel(reach=0.5),
    "knot on a sample": lambda: flows.UnivariateModel(reach=1.0, width=200),
    "observed": lambda: flows.CompletionModel(observed=[[0, 2]]),
    "diagonal": lambda: flows.CompletionModel(diagonal=1),
    "scale": lambda: flows.CompletionModel(scale=-1.0),
    "run.scales": lambda: flows.StudySettings(scales=[]),
    "run.seeds": lambda: flows.StudySettings(seeds=0),
    "model": lambda: flows.solve(steode.Constant(1.0), [1.0]),
    "clock": lambda: flows.solve(flows.SparseModel(), [1.0], clock="accuracy"),
    "times": lambda: flows.solve(flows.DiagonalModel(), [-1.0, 1.0]),
    "steps": lambda: flows.descend(flows.DiagonalModel(), 0.1, 5, 2),
    "dtype": lambda: flows.descend(flows.DiagonalModel(), 0.1, 4, 2, dtype="bfloat16"),
}


@pytest.mark.parametrize("argument", REFUSED)
def test_refused_by_name(argument):
    with pytest.raises(SpecificationError) as caught:
        REFUSED[argument]()
    assert caught.value.argument == {"knot on a sample": "reach"}.get(argument, argument)
    assert caught.value.remedy.strip()


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ('system = "linear"', "system"),
        ('system = "diagonal_network"\n[model]\nwidth = 3', "model.width"),
        ('system = "diagonal_network"\n[run]\nsteps = 3', "run.steps"),
        ('system = "diagonal_network"\n[plot]\nx = 1', "plot"),
        ('system = "diagonal_network"\nmodel = 3', "model"),
        ('system = "diagonal_network"\ntitle = 3', "title"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path, text, argument):
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(SpecificationError) as caught:
        flows.read_study(path)
    assert caught.value.argument == argument
