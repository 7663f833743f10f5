"""Results survive saving and loading, carry their labels, and refuse what is not there."""

import dataclasses
import errno
import json
import os

import jax
import numpy as np
import pytest
import xarray

from steode.errors import SpecificationError, WriteError
from steode.parts.laws import Constant
from steode.parts.quantizers import Uniform
from steode.systems.linear.configuration import from_dict, to_dict
from steode.systems.linear.observables import OBSERVABLES
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.trajectory import Density, Provenance, Snapshots, Trajectory, device_name

MODEL = LinearModel(teacher=Constant(1.0), weight_quantizer=Uniform(2, 2.0), input_quantizer=Uniform(2, 2.0))
SUFFIXES = (".nc", ".npz")
TIMES = np.array([0.0, 0.5, 2.0])
SEEDS, DIM, LEVELS = 2, 7, 4


def provenance(kind: str, method: str) -> Provenance:
    settings = {"t_end": 2.0, "tolerance": 1e-4, "key": 0, "note": 'quotes " and τ'}
    return Provenance(kind, method, to_dict(MODEL), settings, version="0.1.0", device=device_name())


def observables(lead: tuple[int, ...], names) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    return {name: generator.random((*lead, LEVELS) if name == "level_fraction" else lead) for name in names}


@pytest.fixture
def limit():
    nodes = np.linspace(-2, 2, 9)
    masses = np.random.default_rng(1).dirichlet(np.ones(9), size=(2, 3))
    density = Density(TIMES[1:], nodes, np.full(9, 0.5), np.array([-1.0, 0.0, 1.0]), np.array([0.2, 0.3, 0.5]), masses)
    return Trajectory(
        times=TIMES,
        observables=observables((3,), [name for name in OBSERVABLES if name != "eps_g_test"]),
        error=observables((3,), ["eps_g", "level_fraction"]),
        density=density,
        snapshots=None,
        provenance=provenance("limit", "density"),
    )


@pytest.fixture
def simulation():
    generator = np.random.default_rng(2)
    weights = generator.normal(size=(SEEDS, 2, DIM)).astype(np.float32)
    return Trajectory(
        times=TIMES,
        observables=observables((SEEDS, 3), OBSERVABLES),
        error={},
        density=None,
        snapshots=Snapshots(TIMES[:2], weights, generator.normal(size=(SEEDS, DIM))),
        provenance=provenance("simulation", "sgd"),
    )


@pytest.fixture(params=["limit", "simulation"])
def trajectory(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=SUFFIXES)
def suffix(request):
    return request.param


def assert_same(first: Trajectory, second: Trajectory):
    first_leaves, first_tree = jax.tree.flatten(first)
    second_leaves, second_tree = jax.tree.flatten(second)
    assert first_tree == second_tree  # names, absent parts, and provenance, which is static
    for one, other in zip(first_leaves, second_leaves, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_saving_and_loading_changes_nothing(trajectory, suffix, tmp_path):
    path = trajectory.save(tmp_path / f"run{suffix}")
    assert path == tmp_path / f"run{suffix}"
    assert_same(Trajectory.load(path), trajectory)
    assert_same(Trajectory.load(str(path)), trajectory)
    assert [entry.name for entry in tmp_path.iterdir()] == [f"run{suffix}"]


def test_provenance_is_enough_to_make_the_model_again(trajectory, suffix, tmp_path):
    loaded = Trajectory.load(trajectory.save(tmp_path / f"run{suffix}"))
    assert loaded.provenance == trajectory.provenance
    assert from_dict(loaded.provenance.specification) == MODEL
    assert loaded.provenance.settings["note"] == 'quotes " and τ'


def test_a_trajectory_without_optional_parts(suffix, tmp_path):
    bare = Trajectory(TIMES, observables((3,), ["eps_g"]), {}, None, None, provenance("limit", "gaussian"))
    assert_same(Trajectory.load(bare.save(tmp_path / f"bare{suffix}")), bare)


def test_a_failed_save_leaves_the_earlier_file_alone(limit, suffix, tmp_path, monkeypatch):
    path = limit.save(tmp_path / f"run{suffix}")
    before = path.read_bytes()

    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(WriteError, match="disk full"):
        limit.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_netcdf_file_is_labelled_for_other_programs(simulation, tmp_path):
    with xarray.open_dataset(simulation.save(tmp_path / "run.nc"), engine="h5netcdf") as dataset:
        assert dataset["eps_g"].dims == ("seed", "time")
        assert dataset["level_fraction"].dims == ("seed", "time", "level")
        assert dataset["weights"].dims == ("seed", "snapshot_time", "coordinate")
        assert dataset["eps_g"].attrs["long_name"] == OBSERVABLES["eps_g"]
        written = dataclasses.asdict(dataclasses.replace(simulation.provenance, model=None))
        assert json.loads(dataset.attrs["provenance"]) | {"model": None} == written


def test_labels_of_a_limit(limit):
    dataset = limit.to_xarray()
    assert dataset["eps_g"].dims == ("time",)
    assert dataset["eps_g_error"].dims == ("time",)
    assert dataset["mass"].dims == ("density_time", "teacher", "node")
    np.testing.assert_array_equal(dataset["eps_g"].sel(time=0.5), limit["eps_g"][1])


@pytest.mark.parametrize("name", ["missing.nc", "missing.npz"])
def test_a_missing_file_is_refused(tmp_path, name):
    with pytest.raises(SpecificationError, match="No such file"):
        Trajectory.load(tmp_path / name)


@pytest.mark.parametrize("name", ["run.csv", "run", "run.npy"])
def test_another_suffix_is_refused(limit, tmp_path, name):
    for action in (limit.save, Trajectory.load):
        with pytest.raises(SpecificationError, match=r"ending in \.nc or \.npz"):
            action(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04hello", b"\x93NUMPY\x01\x00"])
def test_a_damaged_file_is_refused(suffix, tmp_path, content):
    path = tmp_path / f"run{suffix}"
    path.write_bytes(content)
    with pytest.raises(SpecificationError, match="a readable trajectory file"):
        Trajectory.load(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_cut_short_is_refused(limit, suffix, tmp_path, share):
    path = limit.save(tmp_path / f"run{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(SpecificationError, match="a readable trajectory file"):
        Trajectory.load(path)


def test_an_npz_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.npz"
    for arrays in (
        {"time": TIMES},
        {"provenance": "{}", "time": TIMES},
        {"provenance": "{", "time": TIMES},
        {"provenance": "[1]", "time": TIMES},
        {"provenance": json.dumps(dataclasses.asdict(provenance("limit", "density")))},
    ):
        np.savez(path, **arrays)
        with pytest.raises(SpecificationError, match="a readable trajectory file"):
            Trajectory.load(path)


def test_an_unknown_observable_is_refused_with_the_known_ones(limit):
    np.testing.assert_array_equal(limit["V"], limit.observables["V"])
    with pytest.raises(SpecificationError, match=r"one of eps_g, .*received 'epsilon'.*'density'"):
        limit["epsilon"]


def test_mean_averages_over_seeds_only(limit, simulation):
    assert not limit.has_seeds
    assert simulation.has_seeds
    np.testing.assert_array_equal(limit.mean("eps_g"), limit["eps_g"])
    np.testing.assert_allclose(simulation.mean("eps_g"), (simulation["eps_g"][0] + simulation["eps_g"][1]) / 2)
    assert simulation.mean("level_fraction").shape == (3, LEVELS)


def test_density_divides_masses_by_volumes(limit):
    density = limit.density
    np.testing.assert_allclose(density.values * density.volumes, density.masses)
    assert density.marginal.shape == (2, 9)
    np.testing.assert_allclose(density.marginal @ density.volumes, 1.0, rtol=1e-14)
    by_hand = sum(weight * density.values[:, index] for index, weight in enumerate(density.weights))
    np.testing.assert_allclose(density.marginal, by_hand)


def test_a_trajectory_is_a_pytree(trajectory):
    doubled = jax.tree.map(lambda leaf: 2 * leaf, trajectory)
    np.testing.assert_array_equal(doubled["eps_g"], 2 * trajectory["eps_g"])
    assert doubled.provenance == trajectory.provenance


def test_repr_says_where_it_came_from_and_where_it_ended(limit, simulation):
    assert repr(limit).startswith("Trajectory(limit by density; tau 0 to 2 at 3 times; final eps_g ")
    assert "simulation by sgd, 2 seeds" in repr(simulation)
    assert f"{simulation['eps_g'][:, -1].mean():.5f}" in repr(simulation)
