"""Files that are whole but hold what no run could have written are refused by every reader, with one error."""

import numpy as np
import pytest
from full_disk import fill
from models import REFERENCE
from sweep_recorder import Recorder

from steode import SpecificationError, Trajectory, WriteError, binary_relu, simulate, store
from steode.engine import memory
from steode.engine.placement import Cores
from steode.studies.sweep import sweep
from steode.systems.linear.simulate import CheckpointWarning

RUN = {"seeds": 2, "times": [0.0, 1.0, 2.0], "snapshot_times": [1.0]}
AXES = {"learning_rate": [0.1, 0.2, 0.3]}


def run(path=None):
    return simulate(REFERENCE, 20, 2.0, **RUN, checkpoint=path, checkpoint_seconds=0)


@pytest.fixture(scope="module")
def runs():
    return run()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The arrays of a finished checkpoint."""
    path = tmp_path_factory.mktemp("run") / "run.npz"
    run(path)
    return store.read_npz("path", path, "a checkpoint")


CHECKPOINTS = {
    "steps beyond the end": {"steps": np.array(10**12)},
    "steps before the beginning": {"steps": np.array(-1)},
    "two numbers of steps": {"steps": np.array([3, 3])},
    "steps that are no integer": {"steps": np.array(3.0)},
    "fewer steps than records": {"steps": np.array(3)},
    "weights that are NaN": {"state/0": np.full((2, 20), np.nan, np.float32)},
    "weights of another shape": {"state/0": np.zeros((2, 21), np.float32)},
    "weights of another type": {"state/0": np.zeros((2, 20))},
    "weights that are text": {"state/0": np.full((2, 20), "a")},
    "snapshots of another shape": {"snapshots/0": np.zeros((2, 3, 20), np.float32)},
    "observables that are infinite": {"observables/eps_g": np.full((2, 3), np.inf, np.float32)},
    "observables of another shape": {"observables/eps_g": np.zeros((2, 4), np.float32)},
    "no weights": {"state/0": None},
    "no request": {"request": None},
    "a request that is no JSON": {"request": np.array("{")},
}


@pytest.mark.parametrize("fault", CHECKPOINTS)
def test_a_checkpoint_of_no_run_is_refused(checkpoint, fault, tmp_path, monkeypatch):
    monkeypatch.setattr(Cores, "advance", None)
    arrays = {name: array for name, array in (checkpoint | CHECKPOINTS[fault]).items() if array is not None}
    path = store.write(tmp_path / "run.npz", store.npz_bytes(arrays))
    content = path.read_bytes()
    with pytest.raises(SpecificationError, match=r"checkpoint: expected a checkpoint file.*delete it to begin anew"):
        run(path)
    assert path.read_bytes() == content


def test_one_array_is_no_checkpoint(tmp_path):
    with (tmp_path / "run.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(SpecificationError, match="checkpoint: expected a checkpoint file"):
        run(tmp_path / "run.npz")


TRAJECTORIES = {
    "times that are text": {"time": np.array(["a", "b", "c"])},
    "times that decrease": {"time": np.array([0.0, 2.0, 1.0])},
    "times that are NaN": {"time": np.array([0.0, np.nan, 1.0])},
    "too many times": {"time": np.arange(4.0)},
    "another number of seeds": {"eps_g": np.zeros((3, 3))},
    "a missing axis": {"eps_g": np.zeros(3)},
    "weights of other seeds": {"weights": np.zeros((1, 2, 20), np.float32)},
    "complex weights": {"teacher_weights": np.zeros((2, 20), complex)},
    "something unknown": {"more": np.zeros(3)},
    "provenance of another kind": {"provenance": np.array('{"kind": "guess"}')},
    "provenance without end": {"provenance": np.array("[" * 100_000)},
}


@pytest.mark.parametrize("fault", TRAJECTORIES)
def test_a_trajectory_that_does_not_fit_together_is_refused(runs, fault, tmp_path):
    path = runs.save(tmp_path / "runs.npz")
    arrays = store.read_npz("path", path, "a trajectory") | TRAJECTORIES[fault]
    store.write(path, store.npz_bytes(arrays))
    with pytest.raises(SpecificationError, match="path: expected a readable trajectory file"):
        Trajectory.load(path)


def test_a_netcdf_trajectory_that_does_not_fit_together_is_refused(runs, tmp_path):
    dataset = runs.to_xarray()
    dataset["eps_g"] = dataset["eps_g"].T
    path = store.save_netcdf(tmp_path / "runs.nc", dataset)
    assert Trajectory.load(runs.save(tmp_path / "good.nc"))["eps_g"].shape == (2, 3)
    with pytest.raises(SpecificationError, match="path: expected a readable trajectory file"):
        Trajectory.load(path)


@pytest.mark.parametrize("change", [{"eps_g": "text"}, {"converged": 3.0}, {"learning_rate": None}])
def test_a_sweep_that_does_not_fit_its_grid_is_refused(change, tmp_path, monkeypatch):
    Recorder(monkeypatch)
    path = tmp_path / "sweep.nc"
    dataset = sweep(REFERENCE, AXES, path=path)
    ((name, value),) = change.items()
    whole = dataset.assign_attrs(complete=1)
    whole = (
        whole.isel(learning_rate=slice(2)) if value is None else whole.assign({name: ("learning_rate", [value] * 3)})
    )
    store.save_netcdf(path, whole)
    with pytest.raises(SpecificationError, match="path: expected a file written by sweep"):
        sweep(REFERENCE, AXES, path=path)


def test_a_sweep_that_could_not_be_written_is_in_the_error(tmp_path, monkeypatch):
    Recorder(monkeypatch)
    whole = sweep(REFERENCE, AXES)
    (tmp_path / "full").mkdir()
    fill(monkeypatch, tmp_path / "full", after=1)
    path = tmp_path / "full" / "sweep.nc"
    with pytest.warns(CheckpointWarning, match="the sweep goes on"), pytest.raises(WriteError) as caught:
        sweep(REFERENCE, AXES, path=path, chunk=1)
    assert caught.value.result.identical(whole)
    monkeypatch.undo()
    Recorder(monkeypatch)
    assert sweep(REFERENCE, AXES, path=path, chunk=1).identical(whole)  # goes on from the one chunk that was written


def flow() -> binary_relu.CoarseFlow:
    """Made-up numbers: two starts, three times."""
    model = binary_relu.BinaryReLUModel(
        rows=3, filter_size=4, output_teacher=(1, -0.5, 2), filter_teacher=(1, 2, -1, 0.5)
    )
    curve, end = np.random.default_rng(0).random((2, 3)), np.ones(2)
    v, outcome = np.stack([curve] * 3, axis=-1), np.array(["converged", "vanished"])
    return binary_relu.CoarseFlow(model, np.arange(3.0), v, curve, curve, curve, outcome, end, v[:, -1], end, end, end)


@pytest.mark.parametrize("fault", ["angles", "outcome", "kind", "rows"])
def test_a_coarse_flow_that_does_not_fit_together_is_refused(fault, tmp_path):
    path = flow().save(tmp_path / "flow.nc")
    assert np.array_equal(binary_relu.load(path).theta, flow().theta)
    dataset = flow().to_xarray()
    changed = {
        "angles": lambda: dataset.assign(theta=dataset["theta"].T),
        "outcome": lambda: dataset.assign(outcome=("start", ["finished"] * 2)),
        "kind": lambda: dataset.assign_attrs(kind="other"),
        "rows": lambda: dataset.isel(row=slice(1)),
    }[fault]()
    store.save_netcdf(path, changed)
    with pytest.raises(SpecificationError, match=r"path: expected a .* file of a CoarseFlow or CoarseRuns"):
        binary_relu.load(path)


MANY = {
    "the blocks of samples": ((REFERENCE.replace(batch_size=10**6), 200, 1.0), {}),
    "the weights": ((REFERENCE, 10**6, 1e-6), {"seeds": 100}),
    "the weights that are kept": ((REFERENCE, 1000, 1.0), {"seeds": 100, "snapshot_times": np.linspace(0, 1, 901)[1:]}),
    "what is recorded": ((REFERENCE, 1000, 10.0), {"seeds": 100, "times": np.linspace(0, 10, 10_001)}),
    "the rotation": ((REFERENCE, 4000, 1.0), {"basis": "rotated"}),
}


@pytest.mark.parametrize("part", MANY)
def test_a_run_that_does_not_fit_into_memory_is_refused_before_it_starts(part, monkeypatch):
    monkeypatch.setattr(Cores, "advance", None)
    monkeypatch.setattr(memory, "available_memory", lambda: 1e8)
    arguments, options = MANY[part]
    with pytest.raises(SpecificationError, match=rf"memory: expected a run within the 0.1 GB .*most of it for {part}'"):
        simulate(*arguments, **options)


def test_the_memory_of_an_accelerator_counts_apart():
    class Device:
        def __init__(self, **stats):
            self.stats = stats

        def memory_stats(self):
            return self.stats

    need = memory.Need({"the weights": 10.0}, {"the weights": 5e9, "the blocks of samples": 7e9})
    memory.check(need, [Device(bytes_limit=20e9, bytes_in_use=7.9e9), Device()])
    with pytest.raises(SpecificationError, match=r"within the 11.9 GB .*about 12 GB, most of it for the blocks"):
        memory.check(need, [Device(bytes_limit=20e9), Device(bytes_limit=20e9, bytes_in_use=8.1e9)])


def test_a_result_is_saved_where_there_is_room(runs, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    fill(monkeypatch, tmp_path / "full")
    for suffix in (".nc", ".npz"):
        with pytest.raises(WriteError, match="No space left on device"):
            runs.save(tmp_path / "full" / f"runs{suffix}")
        assert np.array_equal(Trajectory.load(runs.save(tmp_path / f"runs{suffix}"))["V"], runs["V"])
    assert list((tmp_path / "full").iterdir()) == []
