"""Layers of published models and what really enters them: theory, Gaussian runs and real runs side by side.

    pip install steode[onnx]
    python examples/published_layers.py --out docs/images/published_layers
    python examples/published_layers.py --file model.onnx --node /fc1/MatMul --inputs inputs.npz

Three layers of two models that wheels ship, each at 2, 3 and 4 bits, by the program of `real_layer.py`:

- magika, a classifier of files, its last layer. Inputs: files of this tree and of the Python installation, at most so
  many with one suffix, cut to what magika reads of a file.
- rapidocr-onnxruntime, a recognizer of text, a convolution with 1 x 1 windows and a projection of its transformer.
  Inputs: lines of words from this tree's pages, drawn in the fonts that come with matplotlib, on noisy ground.

Inputs are centered: what their mean contributes is a bias, which is not quantized. A file of one's own takes their
place: the model's own inputs are arrays of a .npz file by name, samples first, given to the model 16 at a time.

Written: OUT.png, and OUT.json with every number in it, after every layer. Takes a quarter of an hour.
"""

import argparse
import importlib.util
import json
import pathlib
import re
import sysconfig
from collections.abc import Iterator

import numpy as np
import onnx_node
import real_layer

from steode.plot import style

ROOT = pathlib.Path(__file__).parents[1]
SAMPLES, BATCH = 4000, 16
FILES_OF_A_KIND, LARGEST_FILE = 20, 2_000_000
LINES, HEIGHT, WIDTH = 400, 48, 320
CHECKED_WORDS = r"[A-Za-z][A-Za-z,.\-']+"
LAYERS = {
    "convolution": ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", "p2o.Conv.12"),
    "projection": ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", "p2o.MatMul.8"),
    "files": (
        "magika",
        "models/standard_v3_3/model.onnx",
        "jax2tf_get_logits_/pjit_get_logits_/MagikaV2/Dense_1/MatMul",
    ),
}
"""Name in the table -> package, file in it, node."""


def model_file(package: str, name: str) -> pathlib.Path:
    """A file in a package that is installed, without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"{package} is not installed: pip install steode[onnx]")
    return pathlib.Path(found.origin).parent / name


def file_bytes() -> Iterator[dict[str, np.ndarray]]:
    """What magika reads of files: 1024 bytes from the first that is no space, 1024 to the last; 256 fills up."""
    paths = sysconfig.get_paths()
    found: dict[str, list[pathlib.Path]] = {}
    for folder in (ROOT, pathlib.Path(paths["stdlib"]), pathlib.Path(paths["purelib"])):
        for path in sorted(folder.rglob("*")):
            kind = found.setdefault(path.suffix.lower(), [])
            if len(kind) < 40 * FILES_OF_A_KIND and path.is_file() and 64 < path.stat().st_size < LARGEST_FILE:
                kind.append(path)
    # of many equally spaced ones, so that they are not all of one package
    chosen = [kind[:: -(-len(kind) // FILES_OF_A_KIND)] for kind in found.values() if kind]
    for path in (path for kind in chosen for path in kind):
        content = path.read_bytes()
        begin, end = content[:4096].lstrip()[:1024], content[-4096:].rstrip()[-1024:]
        row = np.full(2048, 256, dtype=np.int32)
        row[: len(begin)] = np.frombuffer(begin, np.uint8)
        row[2048 - len(end) :] = np.frombuffer(end, np.uint8)
        yield {"bytes": row[None]}


def lines_of_text() -> Iterator[dict[str, np.ndarray]]:
    """Images (1, 3, 48, 320) of lines of words, gray values from -1 to 1."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    generator = np.random.default_rng(0)
    words = re.findall(CHECKED_WORDS, "\n".join(path.read_text("utf-8") for path in sorted(ROOT.glob("docs/*.md"))))
    fonts = sorted(pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVuS*.ttf"))
    for _ in range(LINES):
        start = generator.integers(len(words) - 8)
        text, count = words[start], 1
        while len(text) < 24:
            text, count = f"{text} {words[start + count]}", count + 1
        font = ImageFont.truetype(str(fonts[generator.integers(len(fonts))]), int(generator.integers(20, 34)))
        ground, ink = generator.integers(150, 256), generator.integers(0, 110)
        image = Image.new("L", (WIDTH, HEIGHT), int(ground))
        ImageDraw.Draw(image).text((4, int(generator.integers(2, 12))), text, font=font, fill=int(ink))
        noisy = np.asarray(image, float) + generator.normal(scale=generator.uniform(0, 12), size=(HEIGHT, WIDTH))
        gray = (noisy.clip(0, 255) / 127.5 - 1).astype(np.float32)
        yield {"x": np.broadcast_to(gray, (1, 3, HEIGHT, WIDTH)).copy()}


def published(names: list[str]) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """Name, weights (rows, d) and inputs (n, d) of each."""
    feeds = {"magika": file_bytes, "rapidocr_onnxruntime": lines_of_text}
    for name in names:
        package, file, node = LAYERS[name]
        yield name, centered(*onnx_node.recorded(model_file(package, file), node, feeds[package](), SAMPLES))


def own(path: pathlib.Path, node: str, inputs: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """The node of a file, with arrays of a .npz file as the model's inputs."""
    with np.load(inputs, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    if not arrays or len({len(array) for array in arrays.values()}) != 1:
        raise SystemExit("--inputs: arrays of equal length, by the names of the model's inputs")
    total = len(next(iter(arrays.values())))
    feeds = [{name: array[k : k + BATCH] for name, array in arrays.items()} for k in range(0, total, BATCH)]
    return centered(*onnx_node.recorded(path, node, feeds, SAMPLES))


def centered(weights: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs without their mean, which a bias carries, and without those that never change."""
    inputs = inputs.astype(float)
    inputs -= inputs.mean(axis=0)
    used = inputs.std(axis=0) > 1e-6 * inputs.std()
    return weights[:, used].astype(float), inputs[:, used]


def main(arguments: list[str] | None = None) -> None:
    """Record, train, print, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/published_layers"))
    parser.add_argument("--layers", nargs="+", default=list(LAYERS), choices=list(LAYERS))
    parser.add_argument("--file", type=pathlib.Path, help="a model of your own, .onnx")
    parser.add_argument("--node", default="", help="its MatMul, Gemm or Conv")
    parser.add_argument("--inputs", type=pathlib.Path, help="the model's inputs, .npz")
    parser.add_argument("--bits", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--t-end", type=float, default=200.0, help="steps/d of the quantized training")
    parser.add_argument("--seeds", type=int, default=3, help="at least 2")
    parser.add_argument("--redraw", action="store_true", help="table and figure from OUT.json, without training")
    given = parser.parse_args(arguments)
    if given.seeds < 2 or min(given.bits) < 2 or not given.t_end > 0:
        parser.error("--seeds and --bits take 2 or more, --t-end a number above 0")
    if (given.file is None) != (given.inputs is None):
        parser.error("--file and --inputs go together")
    if given.redraw:
        data, layers = json.loads(given.out.with_suffix(".json").read_text(encoding="utf-8")), []
    elif given.file is None:
        data, layers = {}, published(given.layers)
    else:
        data, layers = {}, [(given.node, own(given.file, given.node, given.inputs))]
    settings = {"t_end": given.t_end, "seeds": given.seeds}
    for name, arrays in layers:
        new = real_layer.collect({name: arrays}, tuple(given.bits), settings, online=True)
        data = new | {key: data.get(key, []) + new[key] for key in ("layers", "cases")}
        # after every layer, for all of them take long
        real_layer.write(data, given.out)
    print(real_layer.table(data))
    with style.settings():
        real_layer.draw(data).savefig(given.out.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
