"""Make layer.npz: the weights of a small layer and inputs whose neighbors are correlated.

python examples/make_layer.py
"""

import io
import pathlib
import zipfile

import numpy as np

ROWS, DIM, SAMPLES, CORRELATION = 16, 48, 300, 0.8


def layer() -> dict[str, np.ndarray]:
    """`weights`, (16, 48), standard normal; `inputs`, (300, 48), an autoregression along the coordinates."""
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((SAMPLES, DIM))
    for place in range(1, DIM):
        fresh = np.sqrt(1 - CORRELATION**2) * inputs[:, place]
        inputs[:, place] = CORRELATION * inputs[:, place - 1] + fresh
    return {"weights": generator.standard_normal((ROWS, DIM)).round(4), "inputs": inputs.round(4)}


if __name__ == "__main__":
    path = pathlib.Path(__file__).with_name("layer.npz")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in layer().items():
            stream = io.BytesIO()
            np.save(stream, array.astype(np.float32))
            # without the date, so that the same numbers give the same file
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), stream.getvalue(), zipfile.ZIP_DEFLATED)
    print(f"written: {path}")
