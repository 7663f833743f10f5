"""A hidden layer of a trained network and its real activations: theory, Gaussian runs and real runs side by side.

    python examples/real_layer.py --out docs/images/real_layer
    python examples/real_layer.py --file model.safetensors --tensor fc1.weight --activations inputs.npy

Two networks, 64 pixels - 256 - 64 - 10 classes, with tanh and with ReLU units, are trained by scikit-learn (`pip
install steode[examples]`) on its 1,797 digits, pixels shifted and scaled to mean zero and variance one. The layer
looked at is the second: 64 rows of 256 weights, of which 16 equally spaced ones are trained under quantization. Its
inputs are the 256 units' outputs for all images; units that are zero for every image are left out. Weights and inputs
are each scaled to mean square 1 in all, which changes no ratio.

A weight file of one's own, .npy, .safetensors or .onnx (with the library of that name), takes their place: its tensor
(outputs, inputs), further axes joined to the second; (inputs, outputs), as products with inputs on the left have it, is
turned where only that fits the activations, a .npy file (samples, inputs).

For 2, 3 and 4 bits, the range of every row by its mean square error:

- fixed points: where training ends according to the limit, from the inputs' second moment K;
- isotropic: the same with K = (tr K/d) 1, which is the linear system's answer for these weights;
- runs from the trained weights, on Gaussian inputs with the same K and on the activations in epochs, with --online also
  drawn at random; the error is the mean over the second half of a run, with the standard error over seeds.

Written: OUT.png, and OUT.json with every number in it. Takes about five minutes on two cores.
"""

import argparse
import json
import pathlib
import warnings

import numpy as np
from matplotlib.figure import Figure

from steode import layer
from steode.parts.laws.array_file import load_array
from steode.plot import style
from steode.systems.layer.safetensors_file import load_tensor

HIDDEN, ROWS, RATE, DECAY = (256, 64), 16, 0.2, 0.01
RUNS = {"activations": "epochs", "gaussian": "gaussian", "online": "online"}
NAMES = {
    "activations": "runs on the activations, in epochs",
    "gaussian": "runs on Gaussian inputs",
    "online": "runs on the activations, drawn at random",
}
COLUMNS = ("layer", "bits", "nearest", "GPTQ", "fixed point", "Gaussian runs", "real runs", "isotropic")
DRAWN = "real runs, drawn at random"
RECORDS = 60


def trained_layers(units: list[str], epochs: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name of the units -> weights (rows, d) and inputs (images, d) of the second layer of a network with them."""
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    pixels, labels = load_digits(return_X_y=True)
    spread = pixels.std(axis=0)
    pixels = (pixels - pixels.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    found = {}
    for name in units:
        options = {"activation": name, "alpha": DECAY, "learning_rate_init": 3e-3, "random_state": 0}
        with warnings.catch_warnings():
            # a fixed number of epochs is what is wanted
            warnings.simplefilter("ignore", ConvergenceWarning)
            network = MLPClassifier(HIDDEN, max_iter=epochs, **options).fit(pixels, labels)
        before = pixels @ network.coefs_[0] + network.intercepts_[0]
        inputs = np.tanh(before) if name == "tanh" else np.maximum(before, 0.0)
        live = inputs.any(axis=0)
        found[name] = network.coefs_[1][live].T, inputs[:, live]
    return found


def read_weights(path: pathlib.Path, name: str) -> np.ndarray:
    """The named tensor of a .npy, .safetensors or .onnx file."""
    if path.suffix == ".safetensors":
        return load_tensor("--file", path, name)
    if path.suffix != ".onnx":
        return load_array("--file", path)
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise SystemExit("--file: an .onnx file needs the library: pip install onnx") from None
    # numbers kept in files of their own are not read
    graph = onnx.load(path, load_external_data=False).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    if name not in tensors:
        raise SystemExit(f"--tensor: one of {', '.join(tensors)}")
    return numpy_helper.to_array(tensors[name])


def own_layer(path: pathlib.Path, name: str, activations: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Weights (rows, d) and inputs (samples, d) from files."""
    inputs, tensor = load_array("--activations", activations), read_weights(path, name)
    if inputs.ndim != 2 or tensor.ndim < 2:
        raise SystemExit(f"--file, --activations: a tensor and a matrix; these have {tensor.shape} and {inputs.shape}")
    weights = tensor.reshape(tensor.shape[0], -1)
    return (weights.T if weights.shape[1] != inputs.shape[1] == weights.shape[0] else weights), inputs


def measure(
    name: str, weights: np.ndarray, inputs: np.ndarray, bits: tuple[int, ...], t_end: float, seeds: int, online: bool
) -> tuple[dict, list[dict]]:
    """Facts about a layer, and the numbers for every number of bits."""
    weights = weights / np.sqrt(np.mean(np.square(weights, dtype=float)))
    inputs = inputs / np.sqrt(np.mean(np.square(inputs, dtype=float)))
    chosen = np.unique(np.linspace(0, len(weights) - 1, min(ROWS, len(weights))).round().astype(int))
    dim, cases = weights.shape[1], []
    for number in bits:
        model = layer.LayerModel(
            weights[chosen], activations=inputs.astype(np.float32), bits=number, range="mean square", learning_rate=RATE
        )
        white = model.replace(activations=None, second_moment=np.eye(dim))
        with warnings.catch_warnings():
            # what they say is among the numbers
            warnings.simplefilter("ignore", layer.LayerWarning)
            late, isotropic = layer.fixed_points(model), layer.fixed_points(white)
            ranges, white_ranges = layer.optimal_range(model), layer.optimal_range(white)
        once = layer.rounding(model)
        case = {
            "layer": name,
            "bits": number,
            "nearest": float(once.V["nearest"].mean()),
            "gptq": float(once.V["gptq"].mean()),
            "fixed point": float(late.V.mean()),
            "isotropic": float(isotropic.V.mean()),
            "share clipped": float(late.clipped.mean()),
            "best range": float(np.median(ranges.factor("training"))),
            "best range, isotropic": float(np.median(white_ranges.factor("training"))),
        }
        steps = np.unique(np.geomspace(1, t_end * dim / 2, RECORDS).round())
        times = np.concatenate([[0], steps / dim, np.linspace(t_end / 2, t_end, RECORDS)[1:]])
        for kind, data in RUNS.items():
            if kind == "online" and not online:
                continue
            runs = layer.simulate(model, t_end, data=data, seeds=seeds, times=times)
            own = runs["V"].mean(axis=-1)
            tail = own[:, runs.times >= t_end / 2].mean(axis=1)
            case[kind] = [float(tail.mean()), float(tail.std(ddof=1) / np.sqrt(seeds))]
            case[f"{kind} over time"] = [float(f"{value:.5g}") for value in own.mean(axis=0)]
        # whole steps, each once
        case["times"] = [float(f"{value:.6g}") for value in runs.times]
        cases.append(case)
        print(f"{name}, {number} bits: done", flush=True)
    facts = {
        "layer": name,
        "rows": len(weights),
        "dim": dim,
        "samples": len(inputs),
        "effective dimension": late.effective_dimension,
        "slowest": late.relaxation[1],
    }
    return facts, cases


def collect(
    layers: dict[str, tuple[np.ndarray, np.ndarray]], bits: tuple[int, ...], settings: dict, online: bool
) -> dict:
    """All numbers of these layers; settings are t_end and seeds."""
    measured = [measure(name, *arrays, bits, **settings, online=online) for name, arrays in layers.items()]
    facts, cases = zip(*measured, strict=True)
    return {**settings, "rate": RATE, "layers": list(facts), "cases": [case for group in cases for case in group]}


def write(data: dict, out: pathlib.Path) -> None:
    """OUT.json."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(data) + "\n", encoding="utf-8")


def gap(theory: float, run: float) -> str:
    """How far a theory is above a run, in percent."""
    return f"{100 * (theory / run - 1):+.0f} %"


def table(data: dict) -> str:
    """The page's table: mean V of a row; in brackets how far above the runs the theory is."""
    columns = list(COLUMNS)
    online = all("online" in case for case in data["cases"])
    if online:
        columns.insert(-1, DRAWN)
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for case in data["cases"]:
        gaussian, real = case["gaussian"][0], case["activations"][0]
        fixed, isotropic = case["fixed point"], case["isotropic"]
        shown = ["gaussian", "activations", "online"] if online else ["gaussian", "activations"]
        cells = [
            case["layer"],
            str(case["bits"]),
            *(f"{case[key]:.4f}" for key in ("nearest", "gptq")),
            f"{fixed:.4f} ({gap(fixed, gaussian)}, {gap(fixed, real)})",
            *(f"{case[key][0]:.4f} ± {case[key][1]:.4f}" for key in shown),
            f"{isotropic:.4f} ({gap(isotropic, real)})",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(data: dict) -> Figure:
    """V over time beside where training ends according to the theories, a panel for each case."""
    cases = data["cases"]
    columns = len({case["bits"] for case in cases})
    rows = len(cases) // columns
    figure = Figure(figsize=(3.6 * columns, 2.9 * rows + 0.6), layout="constrained")
    for case, ax in zip(cases, figure.subplots(rows, columns, squeeze=False).ravel(), strict=True):
        style.axes(ax)
        for number, kind in enumerate(kind for kind in RUNS if kind in case):
            values = case[f"{kind} over time"][1:]
            ax.plot(case["times"][1:], values, color=style.COLORS[number], linewidth=1.2, label=NAMES[kind])
        lines = {
            "fixed point": ("fixed point", "-"),
            "isotropic": ("isotropic theory", "--"),
            "nearest": ("nearest", ":"),
        }
        for key, (label, line) in lines.items():
            ax.axhline(case[key], color="black", linestyle=line, linewidth=1.2, label=label)
        ax.set(xscale="log", yscale="log", title=f"{case['layer']}, {case['bits']} bits", ylabel=r"$V$, mean of rows")
        ax.set_xlabel(r"rescaled time $\tau$")
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def main(arguments: list[str] | None = None) -> None:
    """Train, print, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/real_layer"))
    parser.add_argument("--file", type=pathlib.Path, help="weights: .npy, .safetensors or .onnx")
    parser.add_argument("--tensor", default="", help="name of the tensor in it")
    parser.add_argument("--activations", type=pathlib.Path, help="inputs of that layer: .npy, (samples, inputs)")
    parser.add_argument("--units", nargs="+", default=["tanh", "relu"], choices=["tanh", "relu"])
    parser.add_argument("--epochs", type=int, default=40, help="of the networks' own training")
    parser.add_argument("--bits", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--t-end", type=float, default=800.0, help="steps/d of the quantized training")
    parser.add_argument("--seeds", type=int, default=3, help="at least 2")
    parser.add_argument("--online", action="store_true", help="runs on activations drawn at random too")
    parser.add_argument("--redraw", action="store_true", help="table and figure from OUT.json, without training")
    given = parser.parse_args(arguments)
    if given.seeds < 2 or min(given.bits) < 2 or not given.t_end > 0 or given.epochs < 1:
        parser.error("--seeds and --bits take 2 or more, --t-end and --epochs numbers above 0")
    if (given.file is None) != (given.activations is None):
        parser.error("--file and --activations go together")
    path = given.out.with_suffix(".json")
    if given.redraw:
        data = json.loads(path.read_text(encoding="utf-8"))
    else:
        if given.file is None:
            layers = trained_layers(given.units, given.epochs)
        else:
            layers = {given.tensor or given.file.stem: own_layer(given.file, given.tensor, given.activations)}
        data = collect(layers, tuple(given.bits), {"t_end": given.t_end, "seeds": given.seeds}, given.online)
        write(data, given.out)
    print(table(data))
    with style.settings():
        draw(data).savefig(given.out.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
