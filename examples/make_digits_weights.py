"""Make digits_weights.npy: the weights of a linear classifier of handwritten digits.

    pip install 'steode[examples]'
    python examples/make_digits_weights.py

The data are the 1797 images of 8 x 8 pixels that come with scikit-learn. Pixels are standardized, each of the ten
labels is an indicator minus its mean, and the ten weight vectors are ridge-regression solutions. The 64 x 10 weights
are scaled together to mean square 1, so that a student whose weights are zero has error 1/2.
"""

import pathlib

import numpy as np
from sklearn.datasets import load_digits

PENALTY = 10.0
"""Ridge penalty: pixels at the border are nearly always blank, and without it their weights would dominate."""


def digits_weights() -> np.ndarray:
    """Weights in the order pixel by pixel, ten classes each; shape (640,)."""
    images, labels = load_digits(return_X_y=True)
    spread = images.std(axis=0)
    # three pixels are blank in every image: their weight is zero
    inputs = (images - images.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    targets = (labels[:, None] == np.arange(10)).astype(float)
    targets -= targets.mean(axis=0)
    gram = inputs.T @ inputs + PENALTY * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs.T @ targets).ravel()
    return weights / np.sqrt(np.mean(weights**2))


if __name__ == "__main__":
    path = pathlib.Path(__file__).with_name("digits_weights.npy")
    # rounded, so that the file does not depend on the order in which a linear-algebra library adds
    np.save(path, digits_weights().round(8))
    print(f"written: {path}")
