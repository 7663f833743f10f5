"""Gaussian averages of smooth maps by three routes: those that SymPy takes longer for."""

import pytest

from tests.models import ODD_SMOOTH_MAPS
from tests.unit.test_averages import QUICK, three_routes_agree


@pytest.mark.representative
@pytest.mark.parametrize("quantizer", [each for each in ODD_SMOOTH_MAPS if each not in QUICK], ids=str)
def test_three_routes_to_gaussian_averages_agree(quantizer):
    three_routes_agree(quantizer)
