"""Strict settings for every test: no silent broadcasting in JAX, no display, reproducible property tests.

Warnings are errors (pyproject.toml). JAX's 64-bit flag stays at its default, off: steode has to work with it off.
"""

import os
import pathlib

os.environ.setdefault("MPLBACKEND", "Agg")

import hypothesis
import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

# the same examples in every run, and no deadline: timings on a shared machine are not claims
hypothesis.settings.register_profile("steode", derandomize=True, deadline=None)
hypothesis.settings.load_profile("steode")

MAPS, MOST_MAPS = pathlib.Path("/proc/self/maps"), 20_000
"""Memory maps of this process, a few for each compiled program: beyond 65,530 Linux gives none, and XLA crashes."""


@pytest.fixture(autouse=True, scope="module")
def _release_programs():
    """Let compiled programs go after a module, where a worker has collected many."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
