"""The limit as a JAX function: jit, vmap and grad, with gradients checked against finite differences."""

import jax
import pytest

from steode import ClippedSurrogate, SpecificationError, UnsupportedError, limit_function
from tests.models import REFERENCE

TIMES = [1.0, 10.0]


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def test_bad_requests_are_refused():
    with pytest.raises(SpecificationError, match="density"):
        limit_function(REFERENCE, TIMES, method="particles")
    with pytest.raises(UnsupportedError, match="absorbing atoms"):
        limit_function(REFERENCE.replace(surrogate=ClippedSurrogate(1.0)), TIMES, method="gaussian")
    function = limit_function(REFERENCE, TIMES, method="gaussian")
    with pytest.raises(SpecificationError, match="names among learning_rate"):
        function({"momentum": 0.9})
    with jax.enable_x64(False), pytest.raises(SpecificationError, match="64-bit floats"):
        function({})
