"""The installed version, for provenance."""

import importlib.metadata

__version__ = importlib.metadata.version("steode")
