"""The verb `deployments`: the error of what one may take from training with the straight-through estimator."""

import dataclasses

import jax
import numpy as np

from steode.errors import UnsupportedError, check_positive
from steode.parts.stochastic import grid_of
from steode.systems.linear.deployed import Deployed, Row, image_of
from steode.systems.linear.fixed_point import FixedPoint, FixedPoints
from steode.systems.linear.fixed_points import fixed_points
from steode.systems.linear.properties import require
from steode.systems.linear.solve import check_model
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.stability import stability

KINDS = {
    "last_iterate": "quantized weights at the end of training",
    "rounded_average": "latent weights averaged over time, then rounded",
    "averaged_iterates": "quantized weights averaged over time, full precision",
    "rounded_teacher": "teacher weights rounded, no training",
    "rounded_target": "targets rounded to the nearest level: the best on the grid",
    "unquantized": "training without any quantizer",
}
"""What is deployed, by name; the order of tables and figures."""
LATENT = "latent weights averaged over time, full precision"
"""For the table alone: it is infinite for most teacher laws."""


@dataclasses.dataclass(frozen=True, eq=False)
class Deployments:
    """Generalization error of what may be deployed once training has settled.

    All but `unquantized` read quantized inputs. The target of a teacher weight is a = alpha_1 w*/alpha_2, the best
    weight for these inputs.

    Attributes
    ----------
    model : the specification.
    point : the fixed point training has settled at.
    last_iterate : the quantized weights Q at one late time: `point.eps_g`.
    rounded_average : Q_w(E[w | w*]), the latent weights averaged over time and quantized once.
    averaged_iterates : E[Q | w*], the quantized weights averaged over time; no longer on the grid, without dithering.
    averaged_latent : E[w | w*], the latent weights averaged over time and deployed as they are. Their mean is not the
        target: at small learning rates it is the threshold next to it. Infinite where targets reach the end of the
        range without weight decay or dampening, for these weights never settle; NaN where V = 0, as latent weights then
        rest wherever they came to.
    rounded_teacher : Q_w(w*), rounding after training: the weights of unquantized training, quantized once.
    rounded_target : the level nearest to a: no weights on the grid have a smaller error.
    unquantized : last iterate of the model without quantizers, eta sigma^2/(2 (2 B - eta)) without weight decay;
        infinite where it diverges.
    floor : the error of the targets themselves, clipped at the range: the least of any weights in the range.
    averaging_excess, averaging_correction : averaged over a time T, quantized weights have the error
        averaged_iterates + averaging_excess/T - averaging_correction/T^2, up to terms that vanish as fast as the
        weights forget: V/(2 B) times the fraction of targets inside the range, and E[Var(w | w*)]/(eta^2 alpha_2) over
        these.
        The correction is infinite where a continuous teacher law reaches the end of the range: the next order is then
        larger than 1/T^2. NaN with weight decay or dampening.
    note : what there is to say about the fixed point.
    """

    model: LinearModel
    point: FixedPoint
    last_iterate: float
    rounded_average: float
    averaged_iterates: float
    averaged_latent: float
    rounded_teacher: float
    rounded_target: float
    unquantized: float
    floor: float
    averaging_excess: float
    averaging_correction: float
    note: str

    @property
    def errors(self) -> dict[str, float]:
        """Errors by name, in the order of tables and figures."""
        return {name: getattr(self, name) for name in KINDS}

    def averaged_over(self, time: float) -> float:
        """The error of quantized weights averaged over a time long against the time in which weights forget.

        Without the correction where that is infinite; NaN with a pull. Raises `SpecificationError` unless `time`
        is positive and finite.
        """
        time = check_positive("time", time)
        correction = 0.0 if np.isinf(self.averaging_correction) else self.averaging_correction
        return self.averaged_iterates + self.averaging_excess / time - correction / time**2

    def averaged_exponentially(self, memory: float) -> float:
        """The error of quantized weights averaged exponentially, over a memory long against the time they forget in.

        The mean square of such an average is int_0^oo C exp(-t/memory) dt/memory: half the excess over a time
        T = memory, and half its correction. Otherwise as `averaged_over`.
        """
        return (self.averaged_over(memory) + self.averaged_iterates) / 2

    def __repr__(self) -> str:
        width = max(map(len, KINDS.values()))
        rows = [f"{'deployed':<{width}} {'eps_g':>10} {'over floor':>11}"]
        rows += [
            f"{meaning:<{width}} {self.errors[name]:10.6f} {self.errors[name] - self.floor:11.6f}"
            for name, meaning in KINDS.items()
        ]
        latent = self.averaged_latent
        rows.append(f"{LATENT:<{width}} {latent:10.6f} {latent - self.floor:11.6f}")
        rows.append(f"{'floor: targets clipped at the range':<{width}} {self.floor:10.6f}")
        return "\n".join([*rows, *([self.note] if self.note else [])])


def deployments(model: LinearModel) -> Deployments:
    r"""Errors of the last iterate, of averages over time, and of rounding once, at the stationary state of training.

    With a = alpha_1 w*/alpha_2 any weights u that depend on the teacher weight alone have the error

        eps_g = rho (1 - alpha_1^2/alpha_2)/2 + alpha_2 E (u - a)^2/2

    on quantized inputs. Three of the deployed u are step functions of w*: Q_w(w*), the level nearest to a, and
    Q_w(E[w | w*]), as the mean latent weight increases with w*. They are integrated over the teacher law between their
    jumps, without discretization error. The mean drift vanishes at stationarity, so that E[Q | w*] is the target itself
    wherever that lies in the range (without a pull): averaging the quantized weights removes exactly the
    dithering term.

    Averaged over a finite time T the quantized weights keep an error. The update of a latent weight, summed over T,
    says that their mean is a + sqrt(V/(alpha_2 B)) B_T/T - (w_T - w_0)/(eta alpha_2 T) with a Brownian motion B_T, and
    so the excess is V/(2 B T) to leading order, for every quantizer and learning rate: that of averaging unquantized
    SGD at residual variance V. At constant V the autocovariance C(t) of Q gives both orders of alpha_2/2 times

        E (mean of Q - a)^2 = (2/T) int_0^oo C dt - (2/T^2) int_0^oo t C dt + ...,

    and the second integral is the mean square of A^{-1}(Q - a), A the generator of the weights. Since
    A w = -eta alpha_2 (Q - a), it is Var(w | w*)/(eta alpha_2)^2. Derived here.

    On a grid of step Delta that is fine against the teacher law, and at small learning rate and noise, the last iterate
    exceeds the error of the clipped targets by alpha_2 Delta^2/12 and rounding them once by alpha_2 Delta^2/24. Targets
    near a level raise the former by the factor 1 + pi^2 theta^2/Delta^4 + ..., theta = eta V/B. Averaged latent
    weights that are not rounded crowd at the threshold between the levels, the middle of their cell for the target:
    uniform targets are Delta^2/12 away from it, as they are from the nearest level. Derived here.

    Parameters
    ----------
    model : the specification; of several fixed points the stable one of smallest V is taken, and `note` says so.

    Raises
    ------
    SpecificationError
        If `model` is not a LinearModel.
    UnsupportedError
        For a learning-rate schedule, for weights that are not quantized by a step function, for the clipped surrogate,
        or if no fixed point is stable.
    ConvergenceError
        As `fixed_points`.
    """
    check_model(model)
    require(model, "deployments")
    quantizer = model.weight_quantizer
    grid = grid_of(quantizer)
    found = fixed_points(model)
    point, note = _settled(found)
    levels, middles = grid.levels, (grid.levels[1:] + grid.levels[:-1]) / 2
    # the levels are where the variance of stochastic rounding has kinks
    jumps = grid.thresholds if grid is quantizer else levels

    def nearest(row: Row, w: np.ndarray) -> tuple[np.ndarray, float]:
        return levels[np.searchsorted(middles, row.ratio * w, side="right")], 0.0

    with jax.enable_x64(True):
        deployed = Deployed(point)
        excess, correction = deployed.averaging()
        return Deployments(
            model=model,
            point=point,
            last_iterate=point.eps_g,
            rounded_average=deployed.rounded_average,
            averaged_iterates=deployed.averaged,
            averaged_latent=deployed.averaged_latent,
            rounded_teacher=deployed.error(lambda row, w: image_of(quantizer, w), lambda row: jumps),
            rounded_target=deployed.error(nearest, lambda row: row.teacher_at(middles)),
            unquantized=found.unquantized_eps_g,
            floor=deployed.floor,
            averaging_excess=excess,
            averaging_correction=correction,
            note=note,
        )


def _settled(found: FixedPoints) -> tuple[FixedPoint, str]:
    if len(found) == 1:
        return found[0], ""
    stable = [point for point in found if stability(point).stable]
    if not stable:
        raise UnsupportedError("deployments: no fixed point is stable, so that training does not settle; simulate it.")
    note = f"the stable fixed point of smallest V, of {len(found)} fixed points"
    if len(stable) > 1:
        note += f" of which {len(stable)} are stable: which one is reached depends on the initial weights"
    return stable[0], note
