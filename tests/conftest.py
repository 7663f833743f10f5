"""Strict settings for every test: no silent broadcasting in JAX, no display, reproducible property tests.

Warnings are errors (pyproject.toml). JAX's 64-bit flag stays at its default, off: steode has to work with it off.
"""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import hypothesis
import jax

jax.config.update("jax_numpy_rank_promotion", "raise")

# the same examples in every run, and no deadline: timings on a shared machine are not claims
hypothesis.settings.register_profile("steode", derandomize=True, deadline=None)
hypothesis.settings.load_profile("steode")
