"""Several processes of one `jax.distributed` program: each runs a share of the seeds, all end with the whole result.

Seeds are independent, so the processes talk to each other once, at the end. Each computes on its own devices.
"""

import pathlib

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import PyTree

from steode.engine.engine import Plan, Run
from steode.errors import DivergenceError


def share(seeds: int) -> np.ndarray:
    """The numbers of the seeds that this process runs; the last is repeated so that all processes run equally many."""
    count = -(-seeds // jax.process_count())
    return np.minimum(np.arange(count) + jax.process_index() * count, seeds - 1)


def own_file(path: pathlib.Path) -> pathlib.Path:
    """The path itself, or one with the number of this process where there are several."""
    if jax.process_count() == 1:
        return path
    return path.with_name(f"{path.stem}.{jax.process_index()}of{jax.process_count()}{path.suffix}")


def gather(run: Run | None, failure: DivergenceError | None, plan: Plan, seeds: int) -> Run:
    """The runs of all processes, joined; up to where the one that was interrupted first got.

    Raises the `DivergenceError` of the first process that has one, in every process.
    """
    if jax.process_count() == 1:
        if failure is not None:
            raise failure
        return run
    status = [-1, -1, 0, 0, 0]
    if failure is not None:
        status[:2] = [failure.step, failure.seed]
    else:
        status[2:] = [run.interrupted, len(run.records), len(run.snapshots)]
    everyone = multihost_utils.process_allgather(np.array(status, np.int32))
    failed = everyone[everyone[:, 0] >= 0]
    if failed.size:
        if failure is not None:
            raise failure
        step, seed = (int(number) for number in failed[0, :2])
        raise DivergenceError("a run of another process", step, seed, plan.steps_per_unit)
    records, snapshots = int(everyone[:, 3].min()), int(everyone[:, 4].min())
    return Run(
        run.records[:records],
        everywhere({name: value[:, :records] for name, value in run.observables.items()}, seeds),
        run.snapshots[:snapshots],
        everywhere(jax.tree.map(lambda leaf: leaf[:, :snapshots], run.states), seeds),
        bool(everyone[:, 2].any()),
    )


def everywhere(tree: PyTree, seeds: int) -> PyTree:
    """Arrays (share, ...) of every process joined to (seeds, ...)."""
    if jax.process_count() == 1:
        return tree
    gathered = multihost_utils.process_allgather(tree)  # leaves (processes, seeds of each, ...)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:seeds], gathered)
