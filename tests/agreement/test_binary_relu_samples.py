"""The loss on a data set along its coarse gradient, and the published pages' numbers of where the flow ends."""

import json
import pathlib
import re

import numpy as np
import pytest

from steode import SpecificationError, binary_relu

ROOT = pathlib.Path(__file__).parents[2]


def model_of(surrogate="clipped relu") -> binary_relu.BinaryReLUModel:
    return binary_relu.BinaryReLUModel(rows=3, filter_size=4, output_teacher=(1, -0.5, 2), surrogate=surrogate)


@pytest.mark.representative
def test_loss_on_samples_falls_along_their_coarse_gradient():
    """It approaches the population's with the square root of the samples, and is constant over tiny distances."""
    model = model_of()
    points = binary_relu.starts(model, np.ones(3), np.full(16, 2.0))
    distances, sizes = np.linspace(0, 1.0, 11), (40, 400, 4000)
    profiles = [binary_relu.loss_profile(model, points, distances, size, key=3) for size in sizes]
    power = np.polyfit(np.log(sizes), np.log([found.deviation.mean() for found in profiles]), 1)[0]
    assert abs(power + 0.5) < 0.12
    assert np.all(profiles[-1].empirical[:, -1] < profiles[-1].empirical[:, 0] - 0.05)
    still = binary_relu.loss_profile(model, points, np.linspace(0, 1e-9, 3), 40, key=3)
    assert np.ptp(still.empirical, axis=1).max() == 0
    assert np.ptp(still.population, axis=1).min() > 0
    assert "16 points, 40 samples" in repr(still)
    for wrong in ({"distances": [0.1, 0.2]}, {"samples": 0}):
        with pytest.raises(SpecificationError):
            binary_relu.loss_profile(**({"model": model, "points": points, "distances": [0.0], "samples": 4} | wrong))


def test_page_says_where_the_flow_of_the_study_ends():
    page = (ROOT / "docs" / "coarse_gradients.md").read_text(encoding="utf-8")
    study = binary_relu.read_study(ROOT / "examples" / "binary_relu.toml")
    for name, model in zip(("identity", "ReLU", "clipped ReLU"), study.cases.values(), strict=True):
        starts = study.settings.starts_of(model)
        ends = binary_relu.endings(binary_relu.solve(model, starts, study.settings.t_end, points=2))
        counts = [int(np.sum(ends == kind)) for kind in ("global minimum", "spurious minimum", "vanished")]
        assert sum(counts) == len(starts)
        shown = re.search(rf"^\| {name} \| (\d+) \| (\d+) \| (\d+) \| 0\.", page, re.MULTILINE)
        assert [int(number) for number in shown.groups()] == counts


def test_page_says_how_large_the_basins_are():
    page = (ROOT / "docs" / "coarse_gradients.md").read_text(encoding="utf-8")
    numbers = json.loads((ROOT / "docs" / "images" / "coarse.json").read_text(encoding="utf-8"))["basins"]
    theta, x = (part.ravel() for part in np.meshgrid(np.linspace(0.02, np.pi - 0.02, 13), np.linspace(-1.5, 1.5, 13)))
    for surrogate, name in (("identity", "identity"), ("relu", "ReLU"), ("clipped relu", "clipped ReLU")):
        model = model_of(surrogate)
        starts = binary_relu.starts(model, x[:, None] * model.v_star, theta)
        ends = binary_relu.endings(binary_relu.solve(model, starts, 400.0, points=2, tolerance=1e-7))
        shown = re.search(rf"^\| {name} \| (0\.\d+) \| (0|0\.\d+) \| (0\.\d+) \|$", page, re.MULTILINE)
        kinds = (("global minimum",) * 2, ("spurious minimum",) * 2, ("vanished", "w vanished"))
        for text, (kind, key) in zip(shown.groups(), kinds, strict=True):
            assert float(text) == pytest.approx(numbers[surrogate][key], abs=0.005)
            # every other line of the page's grid, in each direction: boundaries are resolved half as well
            assert np.mean(ends == kind) == pytest.approx(numbers[surrogate][key], abs=0.06)
