"""The example with a trained layer: a short run of it, files of one's own, and the numbers its page quotes."""

import importlib.util
import json
import pathlib
import re

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
DATA = ROOT / "docs" / "images" / "real_layer.json"
PAGE = ROOT / "docs" / "layer.md"
QUICK = ["--bits", "2", "--t-end", "4", "--seeds", "2"]


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("real_layer", ROOT / "examples" / "real_layer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data():
    return json.loads(DATA.read_text(encoding="utf-8"))


@pytest.fixture
def arrays(tmp_path):
    generator = np.random.default_rng(3)
    weights, inputs = generator.normal(size=(5, 24)), generator.normal(size=(90, 24)).clip(-1, 2)
    np.save(tmp_path / "inputs.npy", inputs)
    np.save(tmp_path / "weights.npy", weights)
    return weights, inputs


def run(example, folder, file, *more):
    given = ["--file", str(folder / file), "--activations", str(folder / "inputs.npy"), *QUICK, *more]
    example.main([*given, "--out", str(folder / "out")])
    return json.loads((folder / "out.json").read_text())


def test_digits_in_a_short_run(example, tmp_path, capsys):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: the extra examples")
    example.main(["--units", "tanh", "--epochs", "3", *QUICK, "--out", str(tmp_path / "out")])
    found = json.loads((tmp_path / "out.json").read_text())
    assert [case["bits"] for case in found["cases"]] == [2]
    assert (found["layers"][0]["rows"], found["layers"][0]["samples"]) == (64, 1797)
    assert example.table(found) in capsys.readouterr().out
    assert (tmp_path / "out.png").exists()


def test_files_of_ones_own(example, tmp_path, arrays):
    plain = run(example, tmp_path, "weights.npy")
    assert (plain["layers"][0]["rows"], plain["layers"][0]["dim"]) == (5, 24)
    tensors = pytest.importorskip("safetensors.numpy", reason="the extra safetensors is not installed")
    # inputs in the first axis, as in products with inputs on the left, are turned
    tensors.save_file({"a": arrays[0].T.copy(), "b": np.eye(3)}, tmp_path / "all.safetensors")
    turned = run(example, tmp_path, "all.safetensors", "--tensor", "a")
    for key in ("nearest", "gptq", "fixed point", "isotropic"):
        assert turned["cases"][0][key] == pytest.approx(plain["cases"][0][key], rel=1e-9)


def test_onnx_file(example, tmp_path, arrays):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    tensor = onnx.numpy_helper.from_array(arrays[0], "w")
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [tensor])), tmp_path / "m.onnx")
    np.testing.assert_array_equal(example.read_weights(tmp_path / "m.onnx", "w"), arrays[0])
    with pytest.raises(SystemExit, match="one of w"):
        example.read_weights(tmp_path / "m.onnx", "v")


def test_mistakes_are_refused(example, tmp_path, arrays):
    with pytest.raises(SystemExit):
        example.main(["--seeds", "1"])
    with pytest.raises(SystemExit):
        example.main(["--file", str(tmp_path / "weights.npy")])
    np.save(tmp_path / "weights.npy", np.ones(3))
    with pytest.raises(SystemExit, match="a tensor and a matrix"):
        run(example, tmp_path, "weights.npy")


def test_table_of_the_page_is_that_of_the_run(example, data):
    page = PAGE.read_text(encoding="utf-8")
    assert example.table(data) in page
    for facts in data["layers"]:
        assert f"{facts['effective dimension']:.1f}" in page
    assert re.search(rf"\b{data['seeds']} runs\b", page)
    assert f"tau = {data['t_end']:g}" in page


def test_findings_of_the_page_hold_in_the_numbers_of_the_run(data):
    cases = {(case["layer"], case["bits"]): case for case in data["cases"]}
    assert set(cases) == {(name, bits) for name in ("tanh", "relu") for bits in (2, 3, 4)}

    def percent(over, under, name=None) -> tuple[int, int]:
        chosen = [case for key, case in cases.items() if name in (None, key[0])]
        values = [100 * (number(case, over) / number(case, under) - 1) for case in chosen]
        return round(min(values)), round(max(values))

    def number(case, key) -> float:
        return case[key][0] if isinstance(case[key], list) else case[key]

    assert percent("isotropic", "activations") == (27, 105)
    assert percent("fixed point", "activations") == (11, 35)
    assert [percent("gaussian", "fixed point", name) for name in ("tanh", "relu")] == [(0, 5), (15, 19)]
    assert [percent("activations", "gaussian", name) for name in ("tanh", "relu")] == [(-16, -15), (-38, -32)]
    closed = {}
    for key, case in cases.items():
        real = case["activations"][0]
        closed[key] = (case["isotropic"] - case["fixed point"]) / (case["isotropic"] - real)
    assert min(closed[name, 2] for name in ("tanh", "relu")) >= 0.75
    assert min(closed[name, 4] for name in ("tanh", "relu")) > 1 / 6
    assert max(closed[name, 4] for name in ("tanh", "relu")) < 0.4
    shares = {bits: [round(100 * cases[name, bits]["share clipped"]) for name in ("tanh", "relu")] for bits in (2, 4)}
    assert shares == {2: [27, 27], 4: [2, 3]}
    for key, ends in (("best range", (0.35, 0.6)), ("best range, isotropic", (0.4, 0.85))):
        values = [case[key] for case in cases.values()]
        assert (min(values), max(values)) == pytest.approx(ends)
    close = cases["relu", 3]
    assert close["activations"][0] < close["nearest"] < close["fixed point"]
    lowest = {}
    for key, case in cases.items():
        k = int(np.argmin(case["activations over time"]))
        lowest[key] = case["times"][k], case["activations over time"][k] / case["nearest"]
    times, parts = zip(*lowest.values(), strict=True)
    assert (round(min(times), 1), round(max(times), 1)) == (1.1, 2.5)
    assert (round(256 * min(times), -1), round(256 * max(times), -1)) == (290, 630)
    assert (round(100 * min(parts)), round(100 * max(parts))) == (12, 30)
