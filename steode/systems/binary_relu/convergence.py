"""The verb `convergence`: how fast runs approach the flow with the step, and the population with the samples."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from steode.errors import SpecificationError, check_integer, check_positive
from steode.systems.binary_relu.compare import compare
from steode.systems.binary_relu.descend import descend
from steode.systems.binary_relu.simulate import simulate
from steode.systems.binary_relu.solve import check_starts, solve
from steode.systems.binary_relu.spec import BinaryReLUModel, check_model
from steode.systems.binary_relu.starts import Starts


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CoarseConvergence:
    """Distances of the angle at one time, root mean squares over starts and seeds, on three ladders.

    Attributes
    ----------
    steps, step_distance : of the descent on the population from the flow, by step size; expected power 1.
    batches, batch_distance : of online training from the descent on the population with the model's step, by the
        number of fresh samples in a step; expected power -1/2.
    samples, sample_distance : the same for training on one data set, by its size; expected power -1/2.
    """

    steps: np.ndarray
    step_distance: np.ndarray
    batches: np.ndarray
    batch_distance: np.ndarray
    samples: np.ndarray
    sample_distance: np.ndarray

    @property
    def step_power(self) -> float:
        """Fitted power of the step; NaN for fewer than two."""
        return _power(self.steps, self.step_distance)

    @property
    def batch_power(self) -> float:
        """Fitted power of the batch; NaN for fewer than two."""
        return _power(self.batches, self.batch_distance)

    @property
    def sample_power(self) -> float:
        """Fitted power of the size of the data set; NaN for fewer than two."""
        return _power(self.samples, self.sample_distance)

    def __repr__(self) -> str:
        lines = ["Distance of the angle, and its fitted power"]
        ladders = (
            ("step", self.steps, self.step_distance, self.step_power, "1, from the flow"),
            ("batch", self.batches, self.batch_distance, self.batch_power, "-1/2, from the population"),
            ("samples", self.samples, self.sample_distance, self.sample_power, "-1/2, from the population"),
        )
        for name, sizes, distances, power, expected in ladders:
            if len(sizes):
                lines.append(f"{name}: power {power:.3f} (expected {expected})")
                lines += [f"{size:12g}{distance:14.4g}" for size, distance in zip(sizes, distances, strict=True)]
        return "\n".join(lines)


def convergence(
    model: BinaryReLUModel,
    starts: Starts,
    t_end: float,
    *,
    steps: Sequence[float] = (0.1, 0.05, 0.025, 0.0125),
    batches: Sequence[int] = (64, 256, 1024),
    samples: Sequence[int] = (),
    seeds: int = 16,
    key: int = 0,
) -> CoarseConvergence:
    """Run three ladders from the same starts and measure the angle at `t_end`.

    Parameters
    ----------
    model : the specification; its step is that of the simulated runs.
    starts : from `steode.binary_relu.starts` or `random_starts`. Near w = 0, where the least noise decides to which
        side w falls, no power can be expected.
    t_end : time at which the angle is compared: a whole multiple of all steps and of the model's.
    steps : step sizes of the descent on the population; may be empty.
    batches : fresh samples in a step; may be empty.
    samples : sizes of one fixed data set; may be empty.
    seeds : simulated runs from every start.
    key : of the random numbers; every rung has its own.

    Raises
    ------
    SpecificationError
        If an argument makes no sense.
    """
    check_model(model)
    check_starts(model, starts)
    t_end = check_positive("t_end", t_end)
    steps = [check_positive("steps", step) for step in steps]
    batches = [check_integer("batches", batch, 1) for batch in batches]
    samples = [check_integer("samples", size, 1) for size in samples]
    seeds, key = check_integer("seeds", seeds, 1), check_integer("key", key, 0)
    counts = {step: _whole(t_end, step) for step in (*steps, model.step)}
    flow = solve(model, starts, t_end, points=2) if steps else None
    by_step = [
        _distance(flow, descend(model.replace(step=step), starts, counts[step], every=counts[step])) for step in steps
    ]
    count = counts[model.step]
    exact = descend(model, starts, count, every=count) if batches or samples else None
    plan = {"seeds": seeds, "every": count}
    by_batch = [
        _distance(exact, simulate(model, starts, count, batch=batch, key=key + number, **plan))
        for number, batch in enumerate(batches)
    ]
    by_size = [
        _distance(exact, simulate(model, starts, count, samples=size, key=key + len(batches) + number, **plan))
        for number, size in enumerate(samples)
    ]
    ladders = ((steps, by_step), (batches, by_batch), (samples, by_size))
    return CoarseConvergence(*(np.array(part) for ladder in ladders for part in ladder))


def _whole(t_end: float, step: float) -> int:
    count = round(t_end / step)
    if count < 1 or abs(count * step - t_end) > 1e-9 * t_end:
        raise SpecificationError("t_end", f"a whole multiple of the step {step:g}", t_end, "Change one of the two.")
    return count


def _distance(expected, runs) -> float:
    return float(compare(expected, runs).typical_deviation[-1])


def _power(sizes: np.ndarray, distances: np.ndarray) -> float:
    if len(sizes) < 2:
        return float("nan")
    return float(np.polyfit(np.log(sizes), np.log(distances), 1)[0])
