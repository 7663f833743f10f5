"""The laws of one coordinate: teacher weights w* in R^M and initial weights in R^K; draws, moments and nodes."""

import numpy as np
import scipy.stats

from steode.parts.laws import Law, Normal
from steode.systems.committee.spec import CommitteeModel

MOST_NODES = 1024
"""Of a law in R^M; beyond two units a product of rules has more and points take its place."""
PER_AXIS = {1: 48, 2: 16, 3: 10}
"""Teacher units -> nodes along each axis."""


def teacher_law(model: CommitteeModel) -> Law:
    """Of one entry, where entries are independent."""
    return Normal(std=1.0) if model.teacher is None else model.teacher


def teacher_overlap(model: CommitteeModel) -> np.ndarray:
    """T = E[w* w*^T], (M, M)."""
    if model.teacher_overlap is not None:
        return np.array(model.teacher_overlap)
    if model.teacher_rows is not None:
        rows = np.array(model.teacher_rows)
        return rows.T @ rows / rows.shape[0]
    law = teacher_law(model)
    return law.variance * np.eye(model.M) + law.mean**2


def teacher_mean(model: CommitteeModel) -> np.ndarray:
    """E[w*], (M,)."""
    if model.teacher_overlap is not None:
        return np.zeros(model.M)
    if model.teacher_rows is not None:
        return np.array(model.teacher_rows).mean(axis=0)
    return np.full(model.M, teacher_law(model).mean)


def draw_teacher(model: CommitteeModel, generator: np.random.Generator, size: int) -> np.ndarray:
    """Teacher weights of `size` coordinates, (M, size)."""
    if model.teacher_overlap is not None:
        return _root(np.array(model.teacher_overlap)) @ generator.standard_normal((model.M, size))
    if model.teacher_rows is not None:
        rows = np.array(model.teacher_rows)
        return rows[generator.integers(rows.shape[0], size=size)].T
    law = teacher_law(model)
    return np.stack([law.sample(generator, size) for _ in range(model.M)])


def draw_start(model: CommitteeModel, generator: np.random.Generator, teacher: np.ndarray) -> np.ndarray:
    """Initial weights of the coordinates of `teacher` (M, size): (K, size)."""
    own = np.stack([model.init.sample(generator, teacher.shape[1]) for _ in range(model.hidden)])
    return own + model.mixing @ teacher


def teacher_nodes(model: CommitteeModel) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (n, M) and weights (n,) for averages over w* that are smooth in it."""
    if model.teacher_rows is not None:
        distinct, counts = np.unique(np.array(model.teacher_rows), axis=0, return_counts=True)
        return distinct, counts / counts.sum()
    if model.teacher_overlap is not None:
        nodes, weights = _product(*_gauss(model.M), model.M)
        return nodes @ _root(np.array(model.teacher_overlap)).T, weights
    return _product(*teacher_law(model).quadrature(np.zeros(0), PER_AXIS.get(model.M, 10)), model.M)


def _gauss(count: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(PER_AXIS.get(count, 10))
    return nodes, weights / weights.sum()


def _product(nodes: np.ndarray, weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The law of `count` independent entries: a product of rules, or Sobol points where that has too many."""
    if nodes.size**count <= MOST_NODES:
        grids = np.meshgrid(*[nodes] * count, indexing="ij")
        shares = np.meshgrid(*[weights] * count, indexing="ij")
        return np.stack([grid.ravel() for grid in grids], 1), np.prod([share.ravel() for share in shares], axis=0)
    order = np.argsort(nodes)
    uniform = scipy.stats.qmc.Sobol(count, scramble=True, rng=np.random.default_rng(0)).random(MOST_NODES)
    ends = np.cumsum(weights[order])
    return nodes[order][np.searchsorted(ends[:-1], uniform)], np.full(MOST_NODES, 1 / MOST_NODES)


def _root(overlap: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(overlap)
    return vectors * np.sqrt(np.maximum(values, 0.0))
