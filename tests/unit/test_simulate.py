"""The simulation is the algorithm it says it is, and its numbers are those of the weights."""

import jax
import numpy as np
import pytest
import sympy

from steode.engine import engine, placement
from steode.engine.request import key_words, seed_sequence
from steode.errors import DivergenceError, SpecificationError
from steode.parts.laws import Constant
from steode.parts.quantizers import Levels, Uniform
from steode.systems.linear import job
from steode.systems.linear.simulate import simulate
from steode.systems.linear.spec import LinearModel
from tests.models import SMALL as MODEL
from tests.models import SMALL_DIM as DIM

X = sympy.Symbol("x")
GRID = Uniform(bits=2, range=2.0)


def same(a, b) -> bool:
    """Bitwise equal observables and weights."""
    observables = a.observables.keys() == b.observables.keys() and all(
        np.array_equal(a[name], b[name]) for name in a.observables
    )
    return observables and np.array_equal(a.snapshots.weights, b.snapshots.weights)


@pytest.fixture(scope="module")
def runs():
    return simulate(MODEL, DIM, 4.0, seeds=3, key=7)


def test_the_same_key_gives_the_same_bits(runs):
    again = simulate(MODEL, DIM, 4.0, seeds=3, key=7)
    assert same(runs, again)
    assert not same(runs, simulate(MODEL, DIM, 4.0, seeds=3, key=8))
    assert not np.array_equal(runs["eps_g"][0], runs["eps_g"][1])


def test_an_integer_key_is_the_jax_key_of_that_number(runs):
    assert same(runs, simulate(MODEL, DIM, 4.0, seeds=3, key=jax.random.key(7)))
    assert same(runs, simulate(MODEL, DIM, 4.0, seeds=3, key=jax.random.PRNGKey(7)))
    other = simulate(MODEL, DIM, 4.0, seeds=3, key=jax.random.key(7, impl="rbg"))
    assert other.times.size == runs.times.size


def test_every_stream_is_its_own():
    """Key, dimension, seed and purpose each change all random numbers."""
    requests = [
        (key, dim, seed, purpose) for key in (0, 1) for dim in (10, 20) for seed in (0, 1) for purpose in range(4)
    ]
    streams = {
        tuple(seed_sequence(key_words(key), dim, seed, purpose).generate_state(2))
        for key, dim, seed, purpose in requests
    }
    assert len(streams) == len(requests)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="accelerators advance the seeds together")
def test_a_seed_does_not_depend_on_how_many_run_beside_it(runs):
    more = simulate(MODEL, DIM, 4.0, seeds=5, key=7)
    for name in runs.observables:
        assert np.array_equal(runs[name], more[name][:3])


def test_seeds_advanced_together_are_the_same_runs(monkeypatch):
    """The program accelerators run, on this machine: the same samples and steps, up to rounding."""
    options = {"seeds": 3, "key": 7, "dtype": "float64", "snapshot_times": [1.0], "test_samples": 5}
    one_by_one = simulate(MODEL, DIM, 1.0, **options)

    def vectorized(system, fixed, keys, rows, test_samples):
        sizes = {"rows": rows, "test_samples": test_samples}
        return placement.Shards(system, fixed, keys, sizes, jax.local_devices(), vectorized=True)

    monkeypatch.setattr(engine, "place", vectorized)
    together = simulate(MODEL, DIM, 1.0, **options)
    for name in one_by_one.observables:
        np.testing.assert_allclose(one_by_one[name], together[name], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(one_by_one.snapshots.weights, together.snapshots.weights, rtol=1e-9, atol=1e-12)


def test_blocks_of_samples_are_only_a_matter_of_speed(monkeypatch):
    options = {"seeds": 2, "key": 7, "dtype": "float64", "test_samples": 20}
    whole = simulate(MODEL, DIM, 2.0, **options)
    # seven samples at a time: 18 blocks, none ending at a record
    monkeypatch.setattr(engine, "BLOCK_NUMBERS", {jax.default_backend(): 7 * (DIM + 1)})
    parts = simulate(MODEL, DIM, 2.0, **options)
    for name in whole.observables:
        np.testing.assert_allclose(whole[name], parts[name], rtol=1e-9, atol=1e-12)


def test_a_run_does_not_depend_on_what_is_recorded(runs):
    few = simulate(MODEL, DIM, 4.0, seeds=3, key=7, times=[1.0, 3.9], snapshot_times=[0.35, 2.0], test_samples=3)
    at = np.searchsorted(runs.times, few.times)
    assert np.array_equal(runs.times[at], few.times)
    for name in runs.observables:
        assert np.array_equal(runs[name][:, at], few[name])


def test_the_global_precision_flag_changes_nothing(runs):
    with jax.enable_x64(True):
        assert same(runs, simulate(MODEL, DIM, 4.0, seeds=3, key=7))


def test_changed_numbers_do_not_recompile(runs):
    compiled = placement._one_seed._cache_size()
    grid = Levels((-1.0, -0.5, 0.25, 2.0))
    changed = MODEL.replace(learning_rate=0.1, noise=0.0, weight_quantizer=grid, teacher=Constant(0.3))
    simulate(changed, DIM, 9.0, seeds=3, key=1, times=[0.5, 3.0], snapshot_times=[1.0])
    assert placement._one_seed._cache_size() == compiled


# times, snapshots, interruption, failure


def test_recorded_times_are_whole_steps(runs):
    assert runs.times.size == 201
    assert np.array_equal(runs.times, np.rint(np.linspace(0, 4, 201) * DIM) / DIM)
    assert np.array_equal(simulate(MODEL, 3, 1.0).times, np.arange(4) / 3)
    assert np.array_equal(simulate(MODEL, 3, 1.0, times=[0.2, 0.3, 0.4, 0.6]).times, [1 / 3, 2 / 3])


def test_snapshots_start_with_the_drawn_instance():
    run = simulate(MODEL, DIM, 1.0, seeds=2, key=3, snapshot_times=[0.5, 1.0])
    snapshots = run.snapshots
    assert np.array_equal(snapshots.times, [0, 0.5, 1.0])
    assert snapshots.weights.shape == (2, 3, DIM)
    for seed in range(2):
        words = key_words(3)
        teacher = MODEL.teacher.sample(np.random.default_rng(seed_sequence(words, DIM, seed, 0)), DIM)
        weights = MODEL.init.sample(np.random.default_rng(seed_sequence(words, DIM, seed, 1)), DIM)
        assert np.array_equal(snapshots.teacher[seed], teacher.astype(np.float32))
        assert np.array_equal(snapshots.weights[seed, 0], weights.astype(np.float32))


def test_given_weights_take_the_place_of_draws():
    options = {"seeds": 2, "key": 3, "snapshot_times": [1.0]}
    drawn = simulate(MODEL, DIM, 1.0, **options)
    teacher, weights = drawn.snapshots.teacher, drawn.snapshots.weights[:, 0]
    given = simulate(MODEL, DIM, 1.0, **options, teacher_weights=teacher, initial_weights=weights)
    assert all(np.array_equal(drawn[name], given[name]) for name in drawn.observables)
    assert given.provenance.settings["given"] == ["teacher_weights", "initial_weights"]
    shared = simulate(MODEL, DIM, 1.0, **options, teacher_weights=teacher[1], initial_weights=weights[1])
    assert np.array_equal(shared.snapshots.teacher, teacher[[1, 1]])
    assert np.array_equal(shared["eps_g"][1], drawn["eps_g"][1])


def test_weights_are_counted_in_bins():
    edges = np.array([-1.5, -0.2, 0.0, 0.9])
    run = simulate(MODEL, DIM, 1.0, seeds=2, times=[0.0, 0.5, 1.0], snapshot_times=[0.5, 1.0], histogram_edges=edges)
    weights = run.snapshots.weights[..., None]
    inside = (weights >= edges[:-1].astype(np.float32)) & (weights < edges[1:].astype(np.float32))
    np.testing.assert_allclose(run["bin_fraction"], inside.mean(axis=2), atol=1e-6)
    assert run.to_xarray()["bin_fraction"].dims == ("seed", "time", "bin")


def test_logarithmic_times_reach_from_the_first_step_to_the_end():
    times = simulate(MODEL, DIM, 4.0, times="log").times
    assert times[0] == 0
    assert times[1] == 1 / DIM
    assert times[-1] == 4.0
    assert abs(np.log(times[-2] / times[-1]) + np.log(4 * DIM) / 199) < 1 / (4 * DIM)


def test_results_are_saved_and_loaded(runs, tmp_path):
    for name in ("runs.nc", "runs.npz"):
        assert same(runs, type(runs).load(runs.save(tmp_path / name)))


class _Bar:
    """Stands for the progress bar; the user interrupts during its second update."""

    def __init__(self, **options):
        self.updates = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return False

    def update(self, steps):
        self.updates.append(steps)
        if len(self.updates) == 2:
            raise KeyboardInterrupt


def test_an_interruption_returns_what_is_done(runs, monkeypatch):
    monkeypatch.setattr(job, "tqdm", _Bar)
    part = simulate(MODEL, DIM, 4.0, seeds=3, key=7, snapshot_times=[4.0])
    assert part.provenance.settings["interrupted"]
    assert not runs.provenance.settings["interrupted"]
    assert 1 < part.times.size < runs.times.size
    assert np.array_equal(part.times, runs.times[: part.times.size])
    assert np.array_equal(part["eps_g"], runs["eps_g"][:, : part.times.size])
    assert np.array_equal(part.snapshots.times, [0])


def test_divergence_names_the_step():
    model = LinearModel(teacher=Constant(1.0), learning_rate=40.0)
    with pytest.raises(DivergenceError, match=r"step \d+ \(tau = .*seed") as caught:
        simulate(model, DIM, 50.0, seeds=2)
    error = caught.value
    assert error.tau == error.step / DIM
    fine = simulate(model, DIM, (error.step - 1) / DIM, seeds=2, times=[0.0], snapshot_times=[(error.step - 1) / DIM])
    assert np.all(np.isfinite(fine.snapshots.weights))


def test_progress_is_shown_on_demand_only(capsys):
    simulate(MODEL, DIM, 1.0)
    assert capsys.readouterr().err == ""
    simulate(MODEL, DIM, 1.0, progress=True)
    assert "step" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "changes"),
    [
        ("dim", {"dim": 0}),
        ("dim", {"dim": 2.5}),
        ("seeds", {"seeds": 0}),
        ("t_end", {"t_end": 0.0}),
        ("t_end", {"t_end": float("inf")}),
        ("times", {"times": [1.0, 0.5]}),
        ("times", {"times": [-1.0, 0.5]}),
        ("times", {"times": [0.0, 2.0]}),
        ("times", {"times": []}),
        ("times", {"times": [0.0, float("nan")]}),
        ("times", {"times": "soon"}),
        ("times", {"times": [[0.0, 1.0]]}),
        ("times", {"dim": 2**30, "t_end": 10.0}),
        ("snapshot_times", {"snapshot_times": [3.0]}),
        ("dtype", {"dtype": "float16"}),
        ("test_samples", {"test_samples": -1}),
        ("histogram_edges", {"histogram_edges": [1.0, 0.0]}),
        ("histogram_edges", {"histogram_edges": [1.0]}),
        ("teacher_weights", {"teacher_weights": np.zeros(9)}),
        ("teacher_weights", {"teacher_weights": [np.nan] * 10}),
        ("initial_weights", {"initial_weights": np.zeros((2, 10))}),
        ("checkpoint_seconds", {"checkpoint_seconds": -1}),
        ("checkpoint", {"checkpoint": ""}),
        ("key", {"key": -1}),
        ("key", {"key": 2**64}),
        ("key", {"key": "secret"}),
        ("key", {"key": True}),
        ("model", {"model": GRID}),
    ],
)
def test_bad_requests_are_refused(argument, changes):
    request = {"model": MODEL, "dim": 10, "t_end": 1.0} | changes
    with pytest.raises(SpecificationError) as caught:
        simulate(**request)
    assert caught.value.argument == argument


def test_a_batch_of_keys_is_refused():
    with pytest.raises(SpecificationError, match="one key"):
        simulate(MODEL, 10, 1.0, key=jax.random.split(jax.random.key(0), 3))
