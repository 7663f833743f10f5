"""Files: whole or absent, refused before any work where none can be, and never believed when they are damaged."""

import io
import os
import stat
import zipfile

import h5netcdf
import numpy as np
import pytest
import xarray
from full_disk import files_of_at_most

from steode import store
from steode.errors import SpecificationError, WriteError
from steode.store.contents import _seal

DATASET = xarray.Dataset(
    {"a": (("row", "column"), np.arange(12.0).reshape(3, 4)), "word": ("row", ["converged", "vanished", "running"])},
    {"row": [1, 2, 3]},
    {"note": "τ" * 100, "count": 3},
)
ARRAYS = {
    "a": np.arange(6.0).reshape(2, 3),
    "b": np.array("text τ"),
    "c": np.array(7),
    "d/0": np.zeros((0, 2), np.int8),
}


@pytest.fixture
def mask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def permissions(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_permissions_the_umask_leaves_and_an_old_one_its_own(tmp_path, mask):
    path = store.write(tmp_path / "a", b"1")
    assert permissions(path) == 0o640
    path.chmod(0o604)
    assert store.write(path, b"2").read_bytes() == b"2"
    assert permissions(path) == 0o604
    assert os.listdir(tmp_path) == ["a"]


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "file")
    assert store.write(tmp_path / "link", b"1") == tmp_path / "link"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_bytes() == b"1"


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_a_full_disk_is_an_error_that_changes_nothing(tmp_path, suffix):
    noise = np.random.default_rng(0).random(10_000)
    content = (
        store.netcdf_bytes(xarray.Dataset({"a": ("x", noise)})) if suffix == ".nc" else store.npz_bytes({"a": noise})
    )
    path = tmp_path / f"run{suffix}"
    for before in (None, b"earlier"):
        if before:
            path.write_bytes(before)
        with files_of_at_most(5000), pytest.raises(WriteError, match="File too large"):
            store.write(path, content)
        assert os.listdir(tmp_path) == ([path.name] if before else [])
    assert path.read_bytes() == b"earlier"


def test_an_interruption_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.write(tmp_path / "a", b"1")
    assert os.listdir(tmp_path) == []


def test_contents_come_back_and_other_programs_read_them(tmp_path):
    path = store.save_netcdf(tmp_path / "a.nc", DATASET)
    assert store.read_netcdf("path", path, "a file").identical(DATASET)
    with xarray.open_dataset(path, engine="h5netcdf") as opened:
        assert opened.identical(DATASET)
    for compressed in (False, True):
        path = store.write(tmp_path / "a.npz", store.npz_bytes(ARRAYS, compressed=compressed))
        held = store.read_npz("path", path, "a file")
        assert held.keys() == ARRAYS.keys()
        assert all(
            held[name].dtype == array.dtype and np.array_equal(held[name], array) for name, array in ARRAYS.items()
        )
        with np.load(path) as other:
            assert np.array_equal(other["a"], ARRAYS["a"])
        assert zipfile.ZipFile(path).testzip() is None


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_no_damage_is_believed(tmp_path, suffix):
    content = store.netcdf_bytes(DATASET) if suffix == ".nc" else bytes(store.npz_bytes(ARRAYS))
    read = store.read_netcdf if suffix == ".nc" else store.read_npz
    path = tmp_path / f"a{suffix}"
    for bit in range(0, 8 * len(content), 401):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(SpecificationError, match="path: expected a file, received"):
            read("path", path, "a file")
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(SpecificationError, match="no checksum"):
            read("path", path, "a file")
    path.write_bytes(content + b"\n")
    with pytest.raises(SpecificationError, match="no checksum"):
        read("path", path, "a file")


def test_a_file_without_checksum_is_refused(tmp_path):
    DATASET.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with pytest.raises(SpecificationError, match="not written by steode"):
        store.read_netcdf("path", tmp_path / "a.nc", "a file")


def forged(arrays: dict[str, bytes]) -> bytes:
    """An .npz file without checksum whose members are these bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(name, content)
    return stream.getvalue()


def npy(array, shape: str | None = None, **options) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue() if shape is None else stream.getvalue().replace(b"(4,), }", f"{shape}, }}".encode())


@pytest.mark.parametrize(
    "members",
    [
        {"a.npy": npy(np.zeros(4), "(10**12,)")},
        {"a.npy": npy(np.zeros(4), "(1000000000000,)")},
        {"a.npy": npy(np.zeros(4), "(-4,)")},
        {"a.npy": npy(np.array([{}], dtype=object), allow_pickle=True)},
        {"a.npy": npy(np.zeros(4))[:-8]},
        {"a.npy": b"no array"},
        {"a.npy": b""},
    ],
)
def test_arrays_that_are_none_are_refused_before_memory_is_taken(tmp_path, members):
    path = tmp_path / "a.npz"
    path.write_bytes(forged(members))
    with pytest.raises(SpecificationError, match="path: expected a file"):
        store.read_npz("path", path, "a file", sealed=False)


def test_what_unpacks_to_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    path.write_bytes(forged({"a.npy": npy(np.zeros(100_000))}))
    assert path.stat().st_size < 2000
    monkeypatch.setattr("steode.store.contents.available_memory", lambda: 400_000)
    with pytest.raises(SpecificationError, match="more than there is memory for"):
        store.read_npz("path", path, "a file", sealed=False)


def test_a_dataset_that_claims_more_than_its_bytes_is_refused(tmp_path):
    stream = io.BytesIO()
    with h5netcdf.File(stream, "w") as file:
        file.dimensions = {"x": 10**12}
        file.create_variable("a", ("x",), "f8", chunks=(1000,))
    path = tmp_path / "a.nc"
    path.write_bytes(stream.getvalue() + _seal(stream.getvalue()))
    with pytest.raises(SpecificationError, match="more numbers than it has bytes"):
        store.read_netcdf("path", path, "a file")


@pytest.fixture
def places(tmp_path):
    """Places where no file can be, by what is wrong with them."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.nc").mkdir()
    (tmp_path / "circle.nc").symlink_to(tmp_path / "circle.nc")
    (tmp_path / "device.nc").symlink_to("/dev/full")
    os.mkfifo(tmp_path / "pipe.nc")
    names = {"folder": "folder.nc", "circle": "circle.nc", "device": "device.nc", "pipe": "pipe.nc"}
    found = {name: tmp_path / place for name, place in names.items()}
    found |= {"under a file": tmp_path / "file" / "a.nc", "absent folder": tmp_path / "absent" / "a.nc"}
    found |= {"system": "/proc/a.nc", "long name": tmp_path / f"{'a' * 250}.nc", "null": f"{tmp_path}/a\0.nc"}
    found |= {"long path": "/".join([str(tmp_path), *["a" * 200] * 30, "a.nc"]), "suffix": tmp_path / "a.txt"}
    return found | {"surrogate": f"{tmp_path}/\ud800.nc", "empty": "", "number": 3}


PLACES = ("folder", "circle", "device", "pipe", "under a file", "absent folder", "system", "long name", "null")
PLACES += ("long path", "suffix", "surrogate", "empty", "number")


@pytest.mark.parametrize("place", PLACES)
def test_where_no_file_can_be_is_refused_at_once(places, place, tmp_path):
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(SpecificationError, match="--out: expected a"):
        store.output_file("--out", places[place], (".nc",))
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("place", ["circle", "pipe", "device", "folder", "absent folder", "system"])
def test_what_is_no_file_is_not_read(places, place):
    with pytest.raises(SpecificationError, match="path: expected a file"):
        store.read_netcdf("path", places[place], "a file")


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/below", "a" * 300, "a\0b"])
def test_what_cannot_be_a_folder_is_refused(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecificationError, match="--out: expected a"):
        store.output_folder("--out", tmp_path / place)
