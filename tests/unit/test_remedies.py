"""Freezing and running averages: the literal steps replayed in NumPy, local times, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import steode
from steode import (
    Elementwise,
    FollowingRange,
    Freezing,
    Levels,
    LinearModel,
    Momentum,
    Normal,
    OscillationFreezing,
    RunningAverage,
    Schedule,
    SpecificationError,
    Trajectory,
    Uniform,
    UnsupportedError,
    simulate,
    simulate_paired,
    solve,
)
from steode.solvers.entrywise import StepMap
from steode.solvers.stopping import Stopping
from steode.studies.report.study import read_study

GRID = Uniform(bits=2, range=1.6)
MODEL = LinearModel(teacher=Normal(std=1.0), weight_quantizer=GRID, noise=0.2, learning_rate=0.5)
DIM, END = 20, 12.0
STEPS = np.arange(round(DIM * END) + 1) / DIM
"""Times of every step of a short run."""


def path(**options):
    """A run whose weights (steps + 1, d) are kept after every step."""
    runs = simulate(MODEL, DIM, END, times=STEPS, snapshot_times=STEPS, dtype="float64", key=5, **options)
    return runs, runs.snapshots.weights[0], runs.snapshots.teacher[0]


@pytest.mark.parametrize("average", [RunningAverage(), RunningAverage(3.0, 1.5)], ids=str)
def test_running_averages_are_those_of_the_weights_on_the_way(average):
    runs, weights, teacher = path(average=average)
    first, memory = round(average.start * DIM), np.inf if average.memory is None else average.memory * DIM
    for step in (first, first + 1, first + 25, weights.shape[0] - 1):
        means = []
        for values in (GRID(weights), weights):
            mean = values[min(first + 1, step)]
            for n, value in enumerate(values[first + 1 : step + 1], start=1):
                mean = mean + (value - mean) * max(1 / n, 1 / memory)
            means.append(mean)
        for name, mean in zip(("mean_q", "mean_w"), means, strict=True):
            for suffix, image in (("", mean), ("_rounded", GRID(mean))):
                wanted = np.mean((image - teacher) ** 2) / 2
                assert runs[f"eps_g_{name}{suffix}"][0, step] == pytest.approx(wanted, rel=1e-9)


def test_weights_freeze_when_they_oscillate_too_often_at_the_level_they_visit_most():
    rule = OscillationFreezing(threshold=0.5, memory=2.0)
    runs, weights, _ = path(freezing=rule)
    rate, levels = 1 / (rule.memory * DIM), np.asarray(GRID.levels)
    images, frozen = GRID(weights), np.zeros(weights.shape[0])
    for column in range(DIM):
        frequency, visited, direction = 0.0, images[0, column], 0.0
        for step in range(1, weights.shape[0]):
            still = np.all(weights[step:, column] == weights[step, column]) and weights[step, column] in levels
            before, new = images[step - 1, column], images[step, column]
            if still:
                # only an oscillation can carry the frequency over the threshold: back where the last move came from
                new = levels[np.argmin(np.abs(levels - before)) - int(direction)]
            move = np.sign(new - before)
            frequency += rate * (float(move * direction < 0) - frequency)
            visited += rate * (new - visited)
            assert (np.sqrt(DIM) * frequency > rule.threshold) == still
            if still:
                assert weights[step, column] == levels[np.argmin(np.abs(levels - visited))]
                frozen[step:] += 1
                break
            direction = move or direction
    np.testing.assert_allclose(runs["frozen_fraction"][0], frozen / DIM)
    assert 0.3 < frozen[-1] / DIM < 1


def test_weights_freeze_in_the_order_of_certainty_at_a_steady_rate():
    plan = Freezing(2.0, 10.0, memory=1.0, every=0.5)
    runs, weights, _ = path(freezing=plan, flips=True)
    rounds = np.floor(STEPS / plan.every) * plan.every
    expected = np.ceil(DIM * np.clip((rounds - plan.start) / (plan.stop - plan.start), 0, 1) - 1e-3) / DIM
    np.testing.assert_allclose(runs["frozen_fraction"][0], expected)
    assert set(weights[-1]) <= set(GRID.levels)
    late = plan.stop <= STEPS
    assert np.ptp(runs["crossings"][0][late], axis=0).max() == 0
    # the first to stop are those that have not changed their level for longest
    visited = GRID(weights[0])
    for step in range(1, round(2.5 * DIM) + 1):
        visited = visited + (GRID(weights[step]) - visited) / DIM
    held = np.ptp(weights[round(2.5 * DIM) :], axis=0) == 0
    doubt = np.abs(visited[:, None] - np.asarray(GRID.levels)).min(axis=1)
    assert held.sum() == round(DIM / 16 + 0.5)
    assert doubt[held].max() <= doubt[~held].min() + 1e-12


def test_nothing_changes_in_training_under_averages():
    plain, beside = (simulate(MODEL, DIM, 4.0, seeds=2, average=average) for average in (None, RunningAverage()))
    np.testing.assert_array_equal(plain["eps_g"], beside["eps_g"])


def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    options = {"freezing": OscillationFreezing(0.4, 2.0), "average": RunningAverage(1.0, 2.0), "seeds": 2}
    whole = simulate(MODEL, DIM, END, **options)
    options |= {"checkpoint": tmp_path / "run.npz", "checkpoint_seconds": 0}
    for _ in range(2):
        again = simulate(MODEL, DIM, END, **options)
        for name in whole.observables:
            np.testing.assert_array_equal(again[name], whole[name])
    with pytest.raises(SpecificationError, match="checkpoint of this run"):
        simulate(MODEL, DIM, END, **(options | {"average": None}))


@pytest.mark.parametrize(
    "changes",
    [
        {"update_rule": Momentum(0.9)},
        {"activation": Elementwise("tanh(x)")},
        {"range_rule": FollowingRange()},
    ],
    ids=["momentum", "output", "range"],
)
def test_averages_of_other_models(changes):
    model = MODEL.replace(learning_rate=0.1, **changes)
    runs = simulate(model, 50, 10.0, seeds=4, times=[0.0, 10.0], average=RunningAverage(), test_samples=500)
    # at the start the averages are what there is
    quantized = runs["eps_g_mean_q"][:, 0] if "range_rule" not in changes else runs["eps_g_mean_w_rounded"][:, 0]
    np.testing.assert_allclose(quantized, runs["eps_g"][:, 0], rtol=1e-5)
    assert np.all(runs["eps_g_mean_q"][:, 1] != runs["eps_g_mean_w"][:, 1])


def test_local_times_are_drawn_from_their_law():
    """That of a Brownian motion at its start, times D, has the law of |N(0, D t)|, whatever the number of steps."""
    grid, count, diffusion, dt = StepMap(np.array([-1.0, 1.0]), np.zeros(1)), 20_000, 0.3, 0.1
    stopping = Stopping(grid, jnp.asarray(1.0), OscillationFreezing(1.0), lambda time: 1.0)
    with jax.enable_x64(True):
        w, local = jnp.zeros(count), jnp.zeros(count)
        for step in range(5):
            key = jax.random.fold_in(jax.random.key(2), step)
            moved = w + np.sqrt(diffusion * dt) * jax.random.normal(key, w.shape)
            local = local + np.sqrt(diffusion) * stopping._flips(w, moved, diffusion, dt, key)
            w = moved
    local, variance = np.asarray(local), 5 * diffusion * dt
    for power, mean in ((1, np.sqrt(2 * variance / np.pi)), (2, variance)):
        values = local**power
        assert abs(values.mean() - mean) < 4 * values.std() / np.sqrt(count)
    # Levy: local time minus distance is a martingale that is a Brownian motion again
    gap = local - np.abs(np.asarray(w))
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(count)
    assert abs(gap.var() / variance - 1) < 4 * np.sqrt(2 / count)


def test_specification_files_and_saved_runs_hold_them(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(
        "[model]\nteacher = {type = 'Normal'}\nweight_quantizer = {type = 'Uniform', bits = 2, range = 1.6}\n"
        "[run]\nt_end = 2\naverage = {type = 'RunningAverage', start = 1}\n"
        "freezing = {type = 'OscillationFreezing', threshold = {type = 'Schedule', expression = '1/(1 + tau)'}}\n"
    )
    settings = read_study(file).settings
    assert settings.method == "particles"
    assert settings.remedies == {
        "freezing": OscillationFreezing(Schedule("1/(1 + tau)")),
        "average": RunningAverage(1),
    }
    runs = simulate(MODEL, DIM, 2.0, **settings.remedies)
    again = Trajectory.load(runs.save(tmp_path / "runs.nc"))
    assert again.provenance.settings["freezing"] == runs.provenance.settings["freezing"]
    file.write_text(file.read_text().replace("start = 1", "start = 3"))
    with pytest.raises(SpecificationError, match="before t_end"):
        read_study(file)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: Freezing(3, 2), "after start"),
        (lambda: Freezing(0, 1, every=0), "every"),
        (lambda: OscillationFreezing(0.0), "threshold"),
        (lambda: OscillationFreezing(0.1, memory=0), "memory"),
        (lambda: RunningAverage(start=-1), "start"),
        (lambda: RunningAverage(memory=0), "memory"),
        (lambda: simulate(MODEL, 9, 1.0, freezing="all"), "Freezing"),
        (lambda: simulate(MODEL, 9, 1.0, average=10), "RunningAverage"),
        (lambda: simulate(MODEL, 9, 1.0, average=RunningAverage(2)), "before t_end"),
        (lambda: simulate(MODEL, 9, 2.0, freezing=OscillationFreezing(Schedule("1 - tau"))), "threshold"),
        (lambda: simulate(steode.LinearModel(teacher=Normal()), 9, 1.0, freezing=Freezing(0, 1)), "step function"),
        (lambda: simulate(MODEL.replace(range_rule=FollowingRange()), 9, 1.0, freezing=Freezing(0, 1)), "levels move"),
        (
            lambda: simulate(MODEL.replace(weight_quantizer=Levels([0, 1], [2])), 9, 1.0, freezing=Freezing(0, 1)),
            "another as its image",
        ),
        (lambda: simulate_paired([MODEL, MODEL], 9, 1.0, freezing=Freezing(0, 1)), "several models"),
        (lambda: solve(MODEL, 1.0, method="density", average=RunningAverage()), "particles"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_refused_before_anything_is_computed(ask, words):
    with pytest.raises(SpecificationError, match=words):
        ask()


def test_oscillations_have_a_limit_where_the_length_of_a_step_is_known():
    with pytest.raises(UnsupportedError, match=r"freezing: .*sum over gradients"):
        solve(MODEL.replace(update_rule=Momentum(0.9)), 1.0, freezing=OscillationFreezing(0.3))
