"""The verb `simulate`: online SGD itself, at finite dimension, from fresh samples."""

import jax

from steode.engine.checkpoint import CheckpointWarning
from steode.parts.remedies import Freezing, OscillationFreezing, RunningAverage
from steode.systems.dispatch import for_every_system
from steode.systems.linear.job import Options, simulate_models
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.trajectory import Trajectory

__all__ = ["CheckpointWarning", "simulate", "simulate_paired"]


@for_every_system
def simulate(
    model: LinearModel,
    dim: int,
    t_end: float,
    *,
    seeds: int = 1,
    key: int | jax.Array = 0,
    times=None,
    snapshot_times=(),
    dtype: str = "float32",
    test_samples: int = 0,
    basis: str = "eigenbasis",
    histogram_edges=None,
    flips: bool = False,
    weight_format: str | None = None,
    weight_rounding: str = "nearest",
    freezing: Freezing | OscillationFreezing | None = None,
    average: RunningAverage | None = None,
    teacher_weights=None,
    initial_weights=None,
    checkpoint=None,
    checkpoint_seconds: float = 30.0,
    progress: bool | None = None,
) -> Trajectory:
    """Run the training algorithm itself: t_end * dim SGD steps, a fresh sample each, for several seeds.

    Every seed draws its own teacher and initial weights from the model's laws and its own samples. Nothing of the limit
    is used: `eps_g` is the exact input average of half the squared noiseless residual (noise of stochastic maps
    included), computed from the weights (see `steode.systems.linear.literal.system`). Only where
    the output is not linear up to noise, in the activations or, for `V`, the label quantizer, is it the average over
    `test_samples` held-out batches, with a relative standard error of about sqrt(2/(test_samples * batch_size)); so are
    `m` and `q` for quantized inputs in a rotated basis. Seeds use all cores of a CPU, all devices of an accelerator
    machine, and all processes of a `jax.distributed` program (docs/simulation.md).

    Parameters
    ----------
    model : the specification.
    dim : input dimension d >= 1; a multiple of the number of eigenvalues of the model's spectrum.
    t_end : rescaled time tau = step/dim, > 0; the run ends at the last time recorded or kept.
    seeds : number of independent runs.
    key : an integer in [0, 2^64) or a JAX PRNG key. The result is a function of (key, dim, seed number): on the same
        machine the same to the bit, whatever is recorded, and on a CPU however many seeds, cores, devices or processes
        there are.
    times : increasing record times in [0, t_end]; None: 201 equally spaced ones; "log": 0 and 200 equally spaced in
        their logarithm, from the first step on. They are rounded to whole steps, and the returned `times` are the exact
        step/dim, each once.
    snapshot_times : times at which the weights are kept; time 0 always is, with the teacher.
    dtype : "float32" or "float64".
    test_samples : if > 0, record also "eps_g_test", half the mean squared noiseless residual on this many fresh batches
        of inputs. Where the errors themselves have to be sampled these serve for them, and 0 stands for as many batches
        as make 2000 samples, at least 200.
    basis : "eigenbasis": quantizers act on the eigenvectors' coordinates of inputs, teacher and weights, as in the
        limit. "rotated": on those after one random rotation R, the same for all seeds and a function of (key, dim):
        x -> R x, with teacher and initial weights, drawn or given, rotated too, so that only the axes of the quantizers
        change. Snapshots hold the rotated weights. It takes dim^2 operations a sample; dim <= 4096. Its limit
        is `solve(model, t_end, method="dmft")`.
    histogram_edges : increasing bin edges, n + 1 of them; if given, record also "bin_fraction", the fraction of latent
        weights in each of the n bins [edge, next edge).
    flips : record also "crossings", how often a weight has passed each threshold from one step to the next since the
        start; `steode.flips` makes rates of them. Costs a comparison with every threshold in every step.
    weight_format : "bfloat16" or "float16": latent weights are rounded to it after every step, all else is in `dtype`.
        There is no limit to compare with: steps are of order d^(-1/2) and the format is not, so that rounding to the
        nearest loses all steps below half its unit from some d on (docs/simulation.md).
    weight_rounding : "nearest", or "stochastic", which keeps the mean of every step.
    freezing : `Freezing` or `OscillationFreezing`: weights stop, each on a level; recorded is "frozen_fraction".
    average : a `RunningAverage` of Q_w(w) and of w beside the run. Recorded are the errors of deploying them:
        "eps_g_mean_q" and "eps_g_mean_w" as they are, "eps_g_mean_q_rounded" and "eps_g_mean_w_rounded" quantized once.
    teacher_weights, initial_weights : arrays (dim,), or (seeds, dim), in place of draws from the model's laws.
    checkpoint : a path; what is done is written there at least every `checkpoint_seconds` (0: after every chunk of
        steps), and when the run ends, however it ends. A run of the same request goes on from there, and ends
        with the same bits as one that was never interrupted. Of several processes each has a file of its own.
    progress : show a progress bar on stderr; None: if stderr is a terminal and the run takes longer than a second.

    Returns
    -------
    Trajectory of kind "simulation"; observables have shape (seeds, times, ...). If interrupted from the keyboard, it
    ends early and `provenance.settings["interrupted"]` is true.

    Raises
    ------
    SpecificationError
        If an argument does not make sense, the run does not fit into memory, or the checkpoint cannot be written or is
        not of this run; before anything is computed.
    DivergenceError
        If the weights, or what is measured of them, stop being finite; it names the step, tau and the seed, and holds
        the last finite weights.
    """
    options = Options(
        seeds=seeds,
        key=key,
        times=times,
        snapshot_times=snapshot_times,
        dtype=dtype,
        test_samples=test_samples,
        basis=basis,
        histogram_edges=histogram_edges,
        flips=flips,
        weight_format=weight_format,
        weight_rounding=weight_rounding,
        freezing=freezing,
        average=average,
        teacher_weights=teacher_weights,
        initial_weights=initial_weights,
        checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
    )
    return simulate_models((model,), dim, t_end, options)[0]


def simulate_paired(models, dim: int, t_end: float, **options) -> tuple[Trajectory, ...]:
    """Run several models on the same samples: the same teacher, inputs and label noise, seed by seed.

    Differences between the models are then free of what the samples have in common, and generating the inputs, most of
    the work of a run, is done once for all. Each trajectory is the one that `simulate` gives for its model, to
    rounding.

    Parameters
    ----------
    models : at least one model; all with the same teacher law, batch size and spectrum, and with maps and update rules
        of one kind: step functions of any number of levels, or the same smooth map. Initial weights agree where their
        laws do.
    dim, t_end : as in `simulate`.
    options : keyword arguments of `simulate`.

    Returns
    -------
    One trajectory for each model, in order.

    Raises
    ------
    SpecificationError, DivergenceError
        As `simulate`; also if the models cannot share their samples.
    """
    return simulate_models(tuple(models), dim, t_end, Options(**options))
