"""Rows that mirror each other are solved once, and the result is that of solving all."""

import numpy as np
import pytest

from steode import Constant, LinearModel, Normal, PowerLaw, TwoPoint, Uniform, UniformLaw, solve
from steode.solvers import adaptive

pytestmark = pytest.mark.representative

MODEL = LinearModel(teacher=Normal(), weight_quantizer=Uniform(2, 2.0), input_quantizer=Uniform(2, 2.0), noise=0.1)


def solved(model, monkeypatch, shared=True):
    """The trajectory, and on how many rows the last mesh was solved."""
    sizes = []
    with monkeypatch.context() as patch:
        if not shared:
            patch.setattr(adaptive, "find_mirror", lambda *_: None)
        once = adaptive._evolve
        patch.setattr(adaptive, "_evolve", lambda *given: sizes.append(given[1].shape[0]) or once(*given))
        found = solve(model, 2.0, times=[0.5, 2.0], snapshot_times=[0.5], tolerance=1e-2, method="density")
    return found, sizes[-1]


@pytest.mark.parametrize("change", [{}, {"spectrum": PowerLaw(exponent=1.0, count=2), "teacher": TwoPoint()}])
def test_the_result_is_that_of_all_rows(monkeypatch, change):
    model = MODEL.replace(**change)
    (half, few), (whole, all_rows) = solved(model, monkeypatch), solved(model, monkeypatch, shared=False)
    assert few <= all_rows / 2 + 1
    assert np.array_equal(half.density.teacher, whole.density.teacher)
    np.testing.assert_allclose(half.density.masses, whole.density.masses, atol=1e-6)
    for name in ("eps_g", "mean_w", "std_w", "level_fraction"):
        np.testing.assert_allclose(half[name], whole[name], atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"init": UniformLaw(-1.0, 2.0)},
        {"teacher": Normal(mean=0.1)},
        {"teacher": TwoPoint(1.0, 0.3)},
        {"teacher": Constant(1.0)},
    ],
)
def test_nothing_is_shared_where_nothing_mirrors(monkeypatch, change):
    found, rows = solved(MODEL.replace(**change), monkeypatch)
    assert rows == found.density.teacher.size
