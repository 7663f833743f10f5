"""Specifications of the five systems: plain validated numbers, and the data and starts they stand for."""

import dataclasses

import numpy as np

from steode.errors import SpecificationError, check_array, check_integer, check_nonnegative, check_positive


class _Model:
    """What the specifications share."""

    def replace(self, **changes):
        """The same model with some arguments changed."""
        return dataclasses.replace(self, **changes)

    def _check(self, **checks) -> None:
        for name, check in checks.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))


def _whole(least: int, most: int):
    return lambda name, value: check_integer(name, value, least, most)


def _table(name: str, rows: object, columns: int | None = None) -> tuple[tuple[float, ...], ...]:
    """A matrix as tuples of floats."""
    remedy = "Give lists of finite numbers, all of one length."
    if not isinstance(rows, list | tuple | np.ndarray) or len(rows) == 0:
        raise SpecificationError(name, "a list of rows", rows, remedy)
    table = tuple(tuple(check_array(name, row).tolist()) for row in rows)
    if {len(row) for row in table} != {columns or len(table[0])}:
        received = f"rows of {sorted({len(row) for row in table})} entries"
        raise SpecificationError(name, f"rows of {columns or len(table[0])} entries", received, remedy)
    return table


@dataclasses.dataclass(frozen=True, kw_only=True)
class CooccurrenceModel(_Model):
    """A shallow transformer that learns whether two words occur together (arXiv 2410.09605).

    F(X) = sum over tokens l and neurons j of a_j w_j.W_V X softmax(X^T W_K^T W_Q x_l/sqrt(m)), a_j = +1 and -1 fixed,
    logistic loss. Orthonormal words mu_1, ..., mu_d; every sentence holds the common word mu_3, half of them both mu_1
    and mu_2 (label +1), a sixth each mu_1 alone, mu_2 alone, neither (label -1); the rest is uniform over mu_4, ...

    Parameters
    ----------
    samples : n, a multiple of 6.
    tokens : L >= 3, words of a sentence.
    vocabulary : d >= 4.
    width, neurons : m and m_1; neurons is even.
    spread : standard deviation of the entries of all matrices times the square root of their fan-in ("Kaiming" is
        sqrt(2)).
    seed : of data and start.

    Raises `SpecificationError` for a number out of its domain.
    """

    samples: int = 60
    tokens: int = 5
    vocabulary: int = 64
    width: int = 128
    neurons: int = 256
    spread: float = 2**0.5
    seed: int = 0

    def __post_init__(self):
        self._check(samples=_whole(6, 10_000), tokens=_whole(3, 100), vocabulary=_whole(4, 2000))
        self._check(width=_whole(1, 4096), neurons=_whole(2, 8192), spread=check_positive, seed=_whole(0, 2**31))
        if self.samples % 6 or self.neurons % 2:
            name, factor = ("samples", 6) if self.samples % 6 else ("neurons", 2)
            raise SpecificationError(name, f"a multiple of {factor}", getattr(self, name), "Types have exact shares.")

    def data(self) -> dict[str, np.ndarray]:
        """words (n, L) as indices from 0, labels (n,), and kinds (n,): 0 both words, 1 mu_1, 2 mu_2, 3 neither."""
        rng, sixth = np.random.default_rng(self.seed), self.samples // 6
        kinds = np.repeat([0, 1, 2, 3], [3 * sixth, sixth, sixth, sixth])
        words = rng.integers(3, self.vocabulary, (self.samples, self.tokens))
        for row, kind in zip(words, kinds, strict=True):
            placed = [2, *((0, 1), (0,), (1,), ())[kind]]
            row[rng.permutation(self.tokens)[: len(placed)]] = placed
        return {"words": words, "labels": np.where(kinds == 0, 1.0, -1.0), "kinds": kinds}

    def start(self) -> dict[str, np.ndarray]:
        """W (m_1, m), W_V, W_K, W_Q (m, d), Gaussian, and the fixed a (m_1,)."""
        rng, d = np.random.default_rng([self.seed, 1]), self.vocabulary
        wide = {name: rng.normal(0, self.spread / np.sqrt(d), (self.width, d)) for name in ("W_V", "W_K", "W_Q")}
        W = rng.normal(0, self.spread / np.sqrt(self.width), (self.neurons, self.width))
        return {"W": W, **wide, "a": np.repeat([1.0, -1.0], self.neurons // 2)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiagonalModel(_Model):
    """A diagonal linear network beta = u^D - w^D, u(0) = w(0) = scale, on separable data (arXiv 2007.06738).

    The loss is the sum over samples of exp(-y x.beta).

    Parameters
    ----------
    inputs : rows y_n x_n, (N, d): labels are taken into the inputs.
    depth : D >= 2.
    scale : alpha > 0, each entry at the start.

    Raises `SpecificationError` for a number out of its domain.
    """

    inputs: tuple[tuple[float, ...], ...] = ((1.0, 0.5, 0.2), (0.3, 1.0, -0.6))
    depth: int = 2
    scale: float = 1.0

    def __post_init__(self):
        self._check(inputs=_table, depth=_whole(2, 8), scale=check_positive)

    def data(self) -> dict[str, np.ndarray]:
        """inputs (N, d)."""
        return {"inputs": np.array(self.inputs)}

    def start(self) -> dict[str, np.ndarray]:
        """u and w, (d,)."""
        entries = np.full(len(self.inputs[0]), self.scale)
        return {"u": entries, "w": entries}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseModel(_Model):
    """Sparse linear regression with beta = linear v + strength (w^2 - u^2), after arXiv 2302.00257.

    y = A beta* + noise, rows of A standard Gaussian, beta* with `sparsity` entries of alternating sign and size
    `signal`; loss |y - A beta|^2/(2n); start v = 0, w = u = scale. strength = 0 leaves v alone, linear = 0 leaves
    w^2 - u^2 alone.

    Parameters
    ----------
    samples, dim, sparsity : n < d, and s <= d.
    signal, noise : size of the entries of beta*, and standard deviation sigma.
    linear, strength : weight of v (0 or 1), and lambda >= 0.
    scale : alpha > 0, start of w and u.
    seed : of data.

    Raises `SpecificationError` for a number out of its domain.
    """

    samples: int = 50
    dim: int = 5000
    sparsity: int = 3
    signal: float = 2.0
    noise: float = 0.5
    linear: int = 1
    strength: float = 100.0
    scale: float = 1e-3
    seed: int = 0

    def __post_init__(self):
        self._check(samples=_whole(1, 10_000), dim=_whole(2, 100_000), sparsity=_whole(1, 1000), linear=_whole(0, 1))
        self._check(signal=check_positive, noise=check_nonnegative, strength=check_nonnegative, scale=check_positive)
        self._check(seed=_whole(0, 2**31))
        if not self.samples < self.dim or self.sparsity > self.dim:
            remedy = "Interpolation needs more coordinates than samples."
            raise SpecificationError("dim", f"more than {max(self.samples, self.sparsity)}", self.dim, remedy)
        if not self.linear and not self.strength:
            raise SpecificationError("strength", "a number > 0 where linear is 0", self.strength, "Nothing would move.")

    def data(self) -> dict[str, np.ndarray]:
        """inputs (n, d), targets (n,) and teacher (d,)."""
        rng = np.random.default_rng(self.seed)
        teacher = np.zeros(self.dim)
        teacher[: self.sparsity] = self.signal * (-1.0) ** np.arange(self.sparsity)
        inputs = rng.standard_normal((self.samples, self.dim))
        targets = inputs @ teacher + self.noise * rng.standard_normal(self.samples)
        return {"inputs": inputs, "targets": targets, "teacher": teacher}

    def start(self) -> dict[str, np.ndarray]:
        """v, w and u, (d,)."""
        entries = np.full(self.dim, self.scale)
        return {"v": np.zeros(self.dim), "w": entries, "u": entries}


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnivariateModel(_Model):
    """f(x) = (1/m) sum_i c_i [a_i x - b_i]_+ with least squares on a line (arXiv 1906.07842).

    Time is counted in units of the width, so that neurons move at a rate that does not depend on m. A pair of neurons
    starts with c and -c, and f = 0; directions a = +-1, knots b/a spread evenly over [-reach, reach]; then all inner
    weights times `inner` and all outer ones c = +-`outer`: delta = outer^2 - inner^2 (1 + knot^2).

    Parameters
    ----------
    x, y : samples, increasing x.
    width : neurons m, a multiple of 4.
    reach : largest knot, beyond the samples; no knot may start on a sample, where the slope is not defined.
    inner, outer : scales of the two layers, > 0 and >= 0.

    Raises `SpecificationError` for a number out of its domain.
    """

    x: tuple[float, ...] = (-0.8, -0.45, 0.0, 0.3, 0.75)
    y: tuple[float, ...] = (0.3, -0.4, 0.5, 0.6, -0.3)
    width: int = 400
    reach: float = 1.01
    inner: float = 1.0
    outer: float = 1.0

    def __post_init__(self):
        for name in ("x", "y"):
            object.__setattr__(self, name, tuple(check_array(name, getattr(self, name)).tolist()))
        self._check(width=_whole(4, 100_000), reach=check_positive, inner=check_positive, outer=check_nonnegative)
        if self.width % 4:
            raise SpecificationError("width", "a multiple of 4", self.width, "Two signs of a, two of c.")
        if len(self.x) != len(self.y) or len(self.x) < 2 or np.any(np.diff(self.x) <= 0):
            raise SpecificationError("x", "at least two increasing numbers, as many as y", self.x, "Sort the samples.")
        if max(map(abs, self.x)) >= self.reach:
            raise SpecificationError(
                "reach", f"more than {max(map(abs, self.x))}", self.reach, "Knots surround samples."
            )
        if np.min(np.abs(np.subtract.outer(self.knots, self.x))) < 1e-9 * self.reach:
            raise SpecificationError("reach", "no knot on a sample", self.reach, "Change it a little, or the width.")

    @property
    def knots(self) -> np.ndarray:
        """First b/a of a quarter of the neurons, (m/4,)."""
        count = self.width // 4
        return self.reach * (2 * np.arange(count) + 1 - count) / count

    def data(self) -> dict[str, np.ndarray]:
        """x and y, (N,)."""
        return {"x": np.array(self.x), "y": np.array(self.y)}

    def start(self) -> dict[str, np.ndarray]:
        """a, b and c, (m,)."""
        count = self.width // 4
        # order: both signs of a, then both signs of c
        a = self.inner * np.repeat([1.0, -1.0, 1.0, -1.0], count)
        c = self.outer * np.repeat([1.0, 1.0, -1.0, -1.0], count)
        return {"a": a, "b": a * np.tile(self.knots, 4), "c": c}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompletionModel(_Model):
    """Matrix completion by a deep linear network W = W_N ... W_1, balanced (arXiv 2210.12497).

    The loss is half the sum of squared errors of the observed entries.

    Parameters
    ----------
    target : the matrix (d, d); entries that are not observed do not matter.
    observed : pairs (row, column) from 0.
    depth : N >= 1, or 0 for the limit of infinite depth, in which time is counted in units of N.
    scale : largest singular value of W(0); the others fall evenly to half of it, and singular vectors are random.
    seed : of the start.
    diagonal : W(0) has no singular vectors but the unit vectors.

    Raises `SpecificationError` for a number out of its domain.
    """

    target: tuple[tuple[float, ...], ...] = ((1.0, 0.0), (0.0, 1.0))
    observed: tuple[tuple[int, int], ...] = ((0, 0), (1, 1))
    depth: int = 3
    scale: float = 0.1
    seed: int = 0
    diagonal: bool = False

    def __post_init__(self):
        object.__setattr__(self, "target", _table("target", self.target, len(self.target)))
        self._check(depth=_whole(0, 20), scale=check_positive, seed=_whole(0, 2**31))
        size, pairs = len(self.target), self.observed
        inside = isinstance(pairs, list | tuple) and pairs and all(np.shape(pair) == (2,) for pair in pairs)
        if not inside or any(not 0 <= check_integer("observed", i, 0) < size for pair in pairs for i in pair):
            raise SpecificationError(
                "observed", f"pairs of indices below {size}", pairs, "For example [[0, 0], [1, 1]]."
            )
        object.__setattr__(self, "observed", tuple((int(i), int(j)) for i, j in pairs))
        if not isinstance(self.diagonal, bool):
            raise SpecificationError("diagonal", "true or false", self.diagonal, "Give a boolean.")

    def data(self) -> dict[str, np.ndarray]:
        """target (d, d) and mask (d, d), 1 where observed."""
        mask = np.zeros((len(self.target),) * 2)
        mask[tuple(np.transpose(self.observed))] = 1
        return {"target": np.array(self.target), "mask": mask}

    def start(self) -> dict[str, np.ndarray]:
        """U, singular (d,) and V with W(0) = U diag(singular) V^T; balanced factors take N-th roots of singular."""
        size, rng = len(self.target), np.random.default_rng(self.seed)
        U, V = (np.linalg.qr(rng.standard_normal((size, size)))[0] for _ in range(2))
        if self.diagonal:
            U = V = np.eye(size)
        return {"U": U, "singular": self.scale * np.linspace(1, 0.5, size), "V": V}
