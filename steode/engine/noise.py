"""Standard normal numbers addressed by (key, row, column): the counter-based generator of the simulations.

Row k of a stream holds the numbers of one SGD step, and its value depends on the key, k and the column alone: neither
on how many rows are generated together, nor on what else runs beside it. `jax.random.normal` offers no such address,
and in its partitionable form computes two words of Threefry for each number and keeps one; here both are used.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, UInt32

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)

LARGEST = 16.0
"""-log(1 - u^2) of the outermost float32 cell is 15.95."""
QUANTILE = (
    3.7638425827026367,
    1.9952512979507446,
    -0.45756661891937256,
    0.17794819176197052,
    -0.051569338887929916,
    -0.024035867303609848,
    0.059519242495298386,
    -0.0557311549782753,
    0.04607871174812317,
    -0.04352349787950516,
    0.0004678464320022613,
    0.05110420286655426,
    -0.02903587557375431,
    -0.012532980181276798,
    0.010057794861495495,
)
"""sqrt(2) erfinv(u)/u as a polynomial in t = -2 log(1 - u^2)/LARGEST - 1: Chebyshev fit, relative error 2e-7."""
LOGARITHM = (
    1.0000009536743164,
    -0.5000114440917969,
    0.33314675092697144,
    -0.24908289313316345,
    0.20491759479045868,
    -0.1868075132369995,
    0.11931054294109344,
)
"""log(1 + m)/m as a polynomial in m between sqrt(1/2) - 1 and sqrt(2) - 1: Chebyshev fit, error 1e-6 of m."""


def threefry2x32(key: UInt32[Array, "2"], x0: UInt32[Array, "..."], x1: UInt32[Array, "..."]):
    """The Threefry-2x32 block cipher with 20 rounds: two hashed words for each pair of counter words.

    Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11 (2011), section 4.2. They
    find no failure in BigCrush from 13 rounds on; 20 is their recommendation, and what `jax.random` uses.
    """
    schedule = (key[0], key[1], key[0] ^ key[1] ^ _PARITY)
    x0, x1 = x0 + schedule[0], x1 + schedule[1]
    for group in range(5):
        for bits in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = x0 ^ ((x1 << np.uint32(bits)) | (x1 >> np.uint32(32 - bits)))
        x0 = x0 + schedule[(group + 1) % 3]
        x1 = x1 + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return x0, x1


def normals(key: UInt32[Array, "2"], first_row, rows: int, columns: int, dtype) -> Float[Array, "rows columns"]:
    """Rows first_row, ..., first_row + rows - 1 of the stream of `key`: independent standard normals.

    Each number is sqrt(2) erfinv(u) with u the midpoint of one of 2^24 (float32) or 2^53 (float64) equal cells of
    (-1, 1), so that the law is exactly symmetric and never infinite; |z| stays below 5.5 and 8.3 respectively. A
    float32 number takes one word of the hash, a float64 number both.
    """
    single = np.dtype(dtype) == np.float32
    pairs = -(-columns // 2) if single else columns
    row = lax.broadcasted_iota(np.uint32, (rows, pairs), 0) + jnp.asarray(first_row, np.uint32)
    words = threefry2x32(key, row, lax.broadcasted_iota(np.uint32, (rows, pairs), 1))
    if single:
        # the joined words are made normal at once: two halves hinder fusion and take 1.7 times as long on a CPU
        numbers = _single(jnp.concatenate(words, axis=1))
    else:
        fine = (words[1] >> np.uint32(11)).astype(dtype) + 0.5
        uniform = (_signed(words[0]).astype(dtype) + fine * 2.0**-21) * 2.0**-31
        numbers = np.sqrt(2.0) * lax.erf_inv(uniform)
    return numbers[:, :columns]


def _single(words: UInt32[Array, "..."]) -> Float[Array, "..."]:
    """sqrt(2) erfinv(u) in float32, to 5e-7 of itself, in half the time of `lax.erf_inv`: no root and no branch."""
    u = ((_signed(words) >> 8).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)
    bits = lax.bitcast_convert_type((1 - u) * (1 + u), np.int32)
    # 1 - u^2 = 2^exponent (1 + m) with 1 + m between sqrt(1/2) = 0x3f3504f3 and sqrt(2)
    exponent = (bits - np.int32(0x3F3504F3)) >> 23
    m = lax.bitcast_convert_type(bits - (exponent << 23), np.float32) - 1
    log = m * _polynomial(LOGARITHM, m) + exponent.astype(np.float32) * np.float32(np.log(2))
    return u * _polynomial(QUANTILE, log * np.float32(-2 / LARGEST) - 1)


def _polynomial(coefficients, x):
    value = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + np.float32(coefficient)
    return value


def _signed(words):
    return lax.bitcast_convert_type(words, np.int32)
