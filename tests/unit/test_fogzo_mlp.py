"""The example that trains a network with 2-bit weights: its data files and its quantizer."""

import gzip
import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode.errors import SpecificationError


@pytest.fixture(scope="module")
def example():
    path = pathlib.Path(__file__).parents[2] / "examples" / "fogzo_mlp.py"
    spec = importlib.util.spec_from_file_location("fogzo_mlp", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_mnist_is_read_from_idx_files_and_from_npz(example, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4), np.uint8)
    labels = np.array([0, 1, 2, 0, 1, 9], np.uint8)
    for name, array in (("images-idx3-ubyte.gz", images), ("labels-idx1-ubyte", labels)):
        data = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
        (tmp_path / f"train-{name}").write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels)
    for source in (tmp_path, tmp_path / "mnist.npz"):
        found, classes = example.read_mnist(source)
        np.testing.assert_array_equal(found, images.reshape(6, 16))
        np.testing.assert_array_equal(classes, labels)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"text")
    with pytest.raises(SpecificationError, match="IDX"):
        example.read_mnist(tmp_path)
    with pytest.raises(SpecificationError, match="train-images"):
        example.read_mnist(tmp_path.parent)


def test_weights_of_the_example_have_four_levels(example):
    alpha = 0.2
    levels = example.quantize(jnp.linspace(-1, 1, 101), alpha)
    np.testing.assert_allclose(np.unique(np.round(levels / alpha, 4)), [-1.5, -0.5, 0.5, 1.5])
    slope = jax.vmap(jax.grad(lambda w: example.quantize(w, alpha)))(jnp.array([-0.31, -0.29, 0.0, 0.31]))
    np.testing.assert_array_equal(slope, [0, 1, 1, 0])
