"""Compute the sweep behind the explorer page: `python docs/explorer_data.py` writes docs/explorer_data.json.

The exact limit (density equation) of one model over bits, quantization range and learning rate, with the plateaus of
each curve, their analytic estimate and the fixed point. Curves are kept over eta * tau, in which plateaus of all
learning rates have about the same length. It takes minutes; the file is committed, so the docs need not repeat them.
"""

import argparse
import json
import pathlib

import numpy as np

import steode
from steode import Constant, LinearModel, Normal, Uniform, fixed_points, plateau, plateau_estimate, solve

COMMAND = "python docs/explorer_data.py"
BITS = (2, 3, 4, 5)
RANGES = tuple(round(0.5 + 0.25 * step, 2) for step in range(15))
RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
NOISE = 0.1
SPREAD = 0.05
HORIZON = 3.0
"""Last eta * tau: the widest cell (two bits, range 4) is crossed at 2."""
POINTS = 101
FINER = 6
"""Plateaus are measured on this many times as many samples as are kept."""
UNIT = 1e-4
"""Errors are kept as integers in this unit."""
TOLERANCE = 2e-3


def model(bits: int, omega: float, rate: float) -> LinearModel:
    """Weights on a mid-tread grid, one teacher value inside most ranges, weights started close to zero."""
    grid = Uniform(bits=bits, range=omega, kind="mid-tread")
    start = Normal(std=SPREAD)
    return LinearModel(
        weight_quantizer=grid, teacher=Constant(1.0), init=start, learning_rate=rate, noise=NOISE
    )  # fmt: skip


def clock(points: int) -> np.ndarray:
    """Values of eta * tau, closer together at the beginning."""
    return HORIZON * (np.arange(points) / (points - 1)) ** 1.5


def entry(bits: int, omega: float, rate: float) -> dict:
    """Curve, plateaus, estimate and fixed point of one setting; times as eta * tau."""
    spec = model(bits, omega, rate)
    fine = clock(FINER * (POINTS - 1) + 1)
    curve = solve(spec, HORIZON / rate, times=fine / rate, tolerance=TOLERANCE)
    try:
        predicted = plateau_estimate(spec)
        estimate = [round(rate * predicted.length, 4), round(rate * predicted.spread, 4)]
    except steode.UnsupportedError:
        estimate = None  # the weights never leave their cell
    values = curve.mean("eps_g")[::FINER]
    return {
        "bits": bits,
        "range": omega,
        "rate": rate,
        "eps_g": [round(value / UNIT) for value in values.tolist()],
        "plateaus": [
            [round(rate * float(time), 4) for time in (item.start, item.flat_until, item.end)]
            + [round(float(item.height), 4)]
            for item in plateau(curve)
        ],
        "estimate": estimate,
        "fixed_points": [round(float(point.eps_g), 5) for point in fixed_points(spec)],
    }


def sweep(bits=BITS, ranges=RANGES, rates=RATES) -> dict:
    """Every combination, in order of bits, range, rate, with what is needed to read and to repeat it."""
    entries = []
    for width in bits:
        for omega in ranges:
            entries += [entry(width, omega, rate) for rate in rates]
            print(f"{width} bits, range {omega:g}", flush=True)
    return {
        "command": COMMAND,
        "steode": steode.__version__,
        "method": f"density, tolerance {TOLERANCE:g}",
        "noise": NOISE,
        "spread": SPREAD,
        "bits": list(bits),
        "ranges": list(ranges),
        "rates": list(rates),
        "clock": [round(float(value), 5) for value in clock(POINTS)],
        "unit": UNIT,
        "entries": entries,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).with_name("explorer_data.json"))
    out = parser.parse_args().out
    out.write_text(json.dumps(sweep(), separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB")
