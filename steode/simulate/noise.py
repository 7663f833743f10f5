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


def threefry2x32(key: UInt32[Array, "2"], x0: UInt32[Array, "..."], x1: UInt32[Array, "..."]):
    """The Threefry-2x32 block cipher with 20 rounds: two hashed words for each pair of counter words.

    Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11 (2011), section 4.2.
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
        # one erf_inv on the joined words: two on the halves hinder fusion and take 1.7 times as long on a CPU
        cell = _signed(jnp.concatenate(words, axis=1)) >> 8
        uniform = (cell.astype(dtype) + np.float32(0.5)) * np.float32(2.0**-23)
    else:
        fine = (words[1] >> np.uint32(11)).astype(dtype) + 0.5
        uniform = (_signed(words[0]).astype(dtype) + fine * 2.0**-21) * 2.0**-31
    return (np.sqrt(2.0).astype(dtype) * lax.erf_inv(uniform))[:, :columns]


def _signed(words):
    return lax.bitcast_convert_type(words, np.int32)
