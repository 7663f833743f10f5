"""Fixed points and their functions refuse what does not exist."""

import numpy as np
import pytest

from steode import Constant, Levels, LinearModel, SpecificationError, UnsupportedError, fixed_points
from tests.models import REFERENCE


def test_bad_arguments_are_refused():
    (point,) = fixed_points(REFERENCE.replace(weight_decay=0.2))
    for wstar in (np.nan, np.inf, "a", None, [1.0, 2.0]):
        with pytest.raises(SpecificationError, match="wstar"):
            point.level_probabilities(wstar)
        with pytest.raises(SpecificationError, match="wstar"):
            point.density(np.zeros(3), wstar)
    for w in (np.array([0.0, np.nan]), "a", [[1.0], [2.0, 3.0]]):
        with pytest.raises(SpecificationError, match="w:"):
            point.density(w, 0.4)


def test_no_density_where_there_is_none():
    points = fixed_points(
        LinearModel(teacher=Constant(0.5), weight_quantizer=Levels((-1.0, 0.5, 2.0)), learning_rate=0.5)
    )
    with pytest.raises(UnsupportedError, match="V > 0"):
        points[0].density(np.zeros(1), 0.5)
