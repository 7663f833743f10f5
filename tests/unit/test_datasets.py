"""Files in the formats of MNIST, whole and broken."""

import gzip
import sys

import numpy as np
import pytest

from steode import SpecificationError, UnsupportedError
from steode.estimators.datasets import digits, read_idx, read_mnist

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 9], np.uint8)
IDX = {"images-idx3-ubyte": IMAGES, "labels-idx1-ubyte": LABELS}


def idx(array: np.ndarray) -> bytes:
    kind = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    head = bytes([0, 0, kind, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def folder(path, part="train", images=IMAGES, labels=LABELS, compressed=False):
    """The two files of a part."""
    for name, array in zip(IDX, (images, labels), strict=True):
        data = idx(array)
        (path / f"{part}-{name}{'.gz' * compressed}").write_bytes(gzip.compress(data) if compressed else data)
    return path


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_idx_files_of_every_type(tmp_path, kind):
    array = np.arange(-3, 21).reshape(2, 3, 4).astype(kind)
    for name, data in (("plain", idx(array)), ("file.gz", gzip.compress(idx(array)))):
        (tmp_path / name).write_bytes(data)
        found = read_idx(tmp_path / name)
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("compressed", [False, True])
def test_mnist_from_a_folder(tmp_path, compressed):
    folder(tmp_path, compressed=compressed)
    folder(tmp_path, "t10k", IMAGES[:2], LABELS[:2], compressed)
    for part, count in (("train", 6), ("test", 2)):
        images, labels = read_mnist(tmp_path, part)
        assert (images.dtype, labels.dtype) == (np.float32, np.int32)
        np.testing.assert_array_equal(images, IMAGES[:count].reshape(count, 20))
        np.testing.assert_array_equal(labels, LABELS[:count])


def test_mnist_from_npz(tmp_path):
    np.savez(tmp_path / "all.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:3], y_test=LABELS[:3])
    np.savez_compressed(tmp_path / "train.npz", x_train=IMAGES.reshape(6, 20), y_train=LABELS)
    for name in ("all.npz", "train.npz"):
        images, labels = read_mnist(tmp_path / name)
        np.testing.assert_array_equal(images, IMAGES.reshape(6, 20))
        np.testing.assert_array_equal(labels, LABELS)
    assert len(read_mnist(tmp_path / "all.npz", "test")[1]) == 3
    with pytest.raises(SpecificationError, match="x_test"):
        read_mnist(tmp_path / "train.npz", "test")
    with pytest.raises(SpecificationError, match="part"):
        read_mnist(tmp_path / "train.npz", "valid")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an IDX file"),
        (b"text, not numbers", "an IDX file"),
        (bytes([0, 0, 7, 1, 0, 0, 0, 0]), "an IDX file"),
        (idx(IMAGES)[:7], "an IDX file"),
        (idx(IMAGES)[:-1], "120 bytes for shape"),
        (idx(IMAGES) + b"\0", "121 bytes"),
        (gzip.compress(idx(IMAGES), mtime=0)[:-12], "whole gzip file"),
        (gzip.compress(idx(IMAGES), mtime=0)[:10] + b"broken" * 9, "whole gzip file"),
        (gzip.compress(idx(IMAGES)[:-1], mtime=0), "120 bytes for shape"),
    ],
)
def test_broken_idx_files(tmp_path, data, message):
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(SpecificationError, match=message):
        read_idx(tmp_path / "file")


def test_missing_files(tmp_path):
    for call, message in ((read_idx, "readable IDX"), (read_mnist, "folder of IDX files, or an .npz")):
        with pytest.raises(SpecificationError, match=message):
            call(tmp_path / "none")
        with pytest.raises(SpecificationError, match="path"):
            call(None)
    with pytest.raises(SpecificationError, match=r"t10k-images\* and t10k-labels"):
        read_mnist(folder(tmp_path), "test")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:5], LABELS, "5 images and 6 labels"),
        (LABELS, IMAGES, "images: expected"),
        (IMAGES, LABELS[:, None], "labels: expected"),
        (IMAGES, LABELS.astype("f4"), "labels: expected"),
        (IMAGES, -LABELS.astype("i2"), "labels: expected"),
        (IMAGES[:0], LABELS[:0], "images: expected"),
        (np.full((6, 4, 5), np.nan), LABELS, "finite"),
    ],
)
def test_wrong_shapes_and_counts(tmp_path, images, labels, message):
    np.savez(tmp_path / "file.npz", x_train=images, y_train=labels)
    for path in (tmp_path / "file.npz", folder(tmp_path, images=images, labels=labels)):
        with pytest.raises(SpecificationError, match=message):
            read_mnist(path)


def test_broken_npz_files(tmp_path):
    np.savez(tmp_path / "whole.npz", x_train=IMAGES, y_train=LABELS)
    whole = (tmp_path / "whole.npz").read_bytes()
    damaged = bytearray(whole)
    damaged[200] ^= 255
    np.save(tmp_path / "one.npy", IMAGES)
    np.savez(tmp_path / "objects.npz", x_train=np.array([None, 1]), y_train=LABELS)
    for name, data in (("cut.npz", whole[:-40]), ("damaged.npz", bytes(damaged)), ("text.npz", b"text")):
        (tmp_path / name).write_bytes(data)
    for name in ("cut.npz", "damaged.npz", "text.npz", "one.npy", "objects.npz"):
        with pytest.raises(SpecificationError, match="path: expected"):
            read_mnist(tmp_path / name)


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(UnsupportedError, match=r"steode\[examples\]"):
        digits()


def test_digits():
    pytest.importorskip("sklearn")
    images, labels = digits()
    assert (images.shape, images.min(), images.max()) == ((1797, 64), 0, 16)
    assert sorted(set(labels.tolist())) == list(range(10))
