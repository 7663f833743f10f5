"""Tables of numbers as text: comma-separated, one header line, all digits."""

from collections.abc import Mapping

import numpy as np


def csv_bytes(columns: Mapping[str, np.ndarray]) -> bytes:
    """Columns of one length as a .csv file; numbers are written so that they are read back the same."""
    rows = zip(*(np.asarray(values).tolist() for values in columns.values()), strict=True)
    lines = [",".join(map(_cell, row)) for row in [tuple(columns), *rows]]
    return ("\n".join(lines) + "\n").encode()


def _cell(value: object) -> str:
    text = repr(value) if isinstance(value, float) else str(value)
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n') else text
