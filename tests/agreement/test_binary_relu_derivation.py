"""Derived gradients of the binarized ReLU: against the published closed forms, and against quadrature."""

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import sympy
from sympy import Rational, cos, pi, sin, sqrt

from steode import binary_relu
from steode.systems.binary_relu import symbols as sym
from steode.systems.binary_relu.averages import plane_averages
from steode.systems.binary_relu.compiled import compile_averages
from steode.systems.binary_relu.derivation import derive_for
from steode.systems.binary_relu.surrogates import SURROGATES, X, check_surrogate

pytestmark = pytest.mark.representative

H = sym.a + sym.b**2 - sym.b * sym.S + sym.c
ROOT = sqrt(2 * pi)
LENGTHS, ANGLES = (0.05, 0.8, 3.0, 40.0), (0.0, 1e-5, 0.3, 1.5, 2.9, np.pi - 1e-6, np.pi)


def same(left, right) -> bool:
    return sympy.simplify(left - right) == 0


def test_loss_and_gradient_are_the_published_ones():
    found = derive_for("relu")
    kappa = 1 - 2 * sym.theta / pi
    # v'Av = |v|^2 + (1.v)^2 and so on, with A = I + 11'
    loss = (sym.a + sym.b**2 - 2 * (kappa * sym.c + sym.b * sym.S) + sym.N + sym.S**2) / 8
    assert same(found.loss, loss)
    assert same(found.loss_at_zero, (sym.N + sym.S**2) / 8)
    assert same(found.output_gradient, (sym.v + sym.b - kappa * sym.v_star - sym.S) / 4)
    assert same(found.filter_gradient, -sym.c / (2 * pi * sym.R))


@pytest.mark.parametrize(
    ("surrogate", "along", "across", "correlation"),
    [
        ("identity", (sym.a - sym.c * cos(sym.theta)) / ROOT, -sym.c * sin(sym.theta) / ROOT, 1),
        (
            "relu",
            H / (2 * ROOT) - sym.c * cos(sym.theta / 2) ** 2 / ROOT,
            -sym.c * cos(sym.theta / 2) * sin(sym.theta / 2) / ROOT,
            Rational(1, 2),
        ),
    ],
)
def test_coarse_gradients_are_the_published_ones(surrogate, along, across, correlation):
    found = derive_for(surrogate)
    assert same(found.explicit(found.along), along)
    assert same(found.explicit(found.across), across)
    published = correlation * sin(sym.theta) * sym.c**2 / ((2 * pi) ** Rational(3, 2) * sym.R)
    assert same(found.explicit(found.correlation), published)


def test_clipped_coarse_gradient_is_the_published_one():
    """p(0) h e/2 - c p e across q, p and q integrals over the angle: here in closed form."""
    found = derive_for("clipped relu")
    averages = found.averages
    p_zero = averages.G_0
    assert p_zero == averages.G_1
    assert sympy.expand(found.explicit(found.along) - (p_zero * H / 2 - sym.c * averages.G_e)) == 0
    for R, theta in ((0.3, 0.4), (0.8, 1.1), (2.0, 2.6)):
        radial = sympy.lambdify(sym.phi, averages.radial.subs(sym.R, R), modules=["scipy", "numpy"])
        for closed, direction in ((averages.G_e, np.cos), (averages.G_p, np.sin)):
            # E over the sector, as in the publication
            angular = scipy.integrate.quad(
                lambda phi, d=direction, f=radial: d(phi) * f(phi), theta - np.pi / 2, np.pi / 2
            )
            value = float(closed.subs({sym.R: R, sym.theta: theta}))
            assert abs(value - angular[0] / (2 * np.pi)) < 1e-13


def test_landscape_is_the_published_one():
    land = derive_for("identity").landscape
    m, S, N = sym.m, sym.S, sym.N
    assert same(land.saddle_angle, pi / 2 * (m + 1) * N / ((m + 1) * N - S**2))
    assert same(land.spurious_loss, S**2 / (2 * (m + 1)))
    assert (land.spurious_share, same(land.spurious_offset, 2 * S / (m + 1))) == (-1, True)
    assert same(land.leak, 2 * (m - 1) * S**2 / (m + 1) ** 2)
    # where the condition fails saddle and end point meet
    critical = {S: sqrt((m + 1) * N / 2)}
    assert same(land.saddle_angle.subs(critical), pi)
    assert same(land.saddle_loss.subs(critical), land.spurious_loss.subs(critical))
    assert same(land.spurious_overlap, -2 * land.condition / (m + 1))


@pytest.mark.parametrize("name", SURROGATES)
def test_quadrature_agrees_with_closed_forms(name):
    """The same surrogate as the user's own: another route, down to angles of 0 and pi."""
    assert name in plane_averages()
    own = check_surrogate(SURROGATES[name].derivative)
    assert own.name == "own"
    with jax.enable_x64(True):
        closed, numeric = (jax.jit(compile_averages(surrogate)) for surrogate in (SURROGATES[name], own))
        for R in LENGTHS:
            for theta in ANGLES:
                np.testing.assert_allclose(numeric(R, theta), closed(R, theta), rtol=0, atol=1e-14)


def test_own_surrogate_agrees_with_the_shown_integrals():
    """E over the line where the teacher's gate ends, turned from theta = 0: the integrals of the derivation."""
    assert "G_{p}" in derive_for("own").step("averages of the surrogate").markdown()
    surrogate = check_surrogate(1 / (1 + (X - 1) ** 2))
    R, theta, density = 1.3, 2.1, scipy.stats.norm.pdf

    def line(u, power):
        return scipy.integrate.quad(lambda t: t**power * surrogate(R * t * np.sin(u)) * density(t), -10, 10)[0]

    turned = scipy.integrate.quad(lambda u: np.sin(u) * line(u, 2), 0, theta)[0]
    with jax.enable_x64(True):
        _, on, along, across = (float(value) for value in compile_averages(surrogate)(R, theta))
    assert abs(across - np.sin(theta) * line(theta, 0) / np.sqrt(2 * np.pi)) < 1e-10
    assert abs(along - (on - turned / np.sqrt(2 * np.pi))) < 1e-10


@pytest.mark.parametrize("surrogate", [*SURROGATES, sympy.exp(-(X**2)) + sympy.Heaviside(X - 2)])
def test_gradients_agree_with_samples(surrogate):
    model = binary_relu.BinaryReLUModel(
        rows=3, filter_size=4, output_teacher=(1, -0.5, 2), filter_teacher=(1, 2, -1, 0.5), surrogate=surrogate
    )
    points = binary_relu.starts(model, [[1, 0.5, -1], [0.3, 2, 1], [-1, 0.2, -1]], [0.5, 1.7, 2.8], [0.5, 1.0, 2.0])
    derived, measured = binary_relu.gradients(model, points), binary_relu.sampled_gradients(model, points, 40_000)
    for name, error in measured.errors.items():
        assert np.abs((getattr(derived, name) - getattr(measured, name)) / error).max() < 4.5
