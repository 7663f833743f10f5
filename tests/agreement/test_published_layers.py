"""Activations recorded at a node of an .onnx file, the example with published models, and the numbers of its page."""

import importlib
import json
import pathlib
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
DATA = ROOT / "docs" / "images" / "published_layers.json"
PAGE = ROOT / "docs" / "layer.md"
RNG = np.random.default_rng(1)


@pytest.fixture(scope="module")
def example():
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        yield importlib.import_module("published_layers")
    finally:
        sys.path.remove(str(ROOT / "examples"))


def model(folder, kind, weights, constant, **attributes):
    """A file with one product between two ReLUs, and what it takes."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: the extra onnx")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: the extra onnx")
    helper = onnx.helper
    tensor = onnx.numpy_helper.from_array(weights, "w")
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node(kind, ["a", "w"], ["b"], name="product", **attributes),
        helper.make_node("Relu", ["b"], ["y"]),
    ]
    if constant:
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))
    axes = [None] * (4 if kind == "Conv" else 2)
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, axes) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [] if constant else [tensor])
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(whole, folder / "m.onnx")
    return folder / "m.onnx"


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(("kind", "turned"), [("MatMul", False), ("Gemm", False), ("Gemm", True)])
def test_products(example, tmp_path, kind, turned, constant):
    weights = RNG.normal(size=(5, 7)).astype(np.float32)
    x = RNG.normal(size=(20, 7)).astype(np.float32)
    attributes = {"transB": 1} if turned else {}
    path = model(tmp_path, kind, weights if turned else weights.T.copy(), constant, **attributes)
    np.savez(tmp_path / "inputs.npz", x=x)
    found, inputs = example.onnx_node.recorded(path, "product", [{"x": x[:12]}, {"x": x[12:]}], 20)
    np.testing.assert_array_equal(found, weights)
    # of every run its share of what is wanted, 10 of each
    assert len(inputs) == 18
    assert {row.tobytes() for row in inputs} <= {row.tobytes() for row in np.maximum(x, 0)}
    with pytest.raises(SystemExit, match="product"):
        example.onnx_node.recorded(path, "another", [{"x": x}], 20)


@pytest.mark.parametrize(
    "attributes",
    [{}, {"pads": [1, 0, 2, 1], "strides": [2, 1]}, {"dilations": [1, 2], "pads": [0, 1, 0, 1]}],
    ids=["plain", "padded and strided", "dilated"],
)
def test_windows_of_a_convolution(example, tmp_path, attributes):
    """Weights times windows are what the node gives."""
    weights = RNG.normal(size=(4, 3, 2, 3)).astype(np.float32)
    x = RNG.normal(size=(2, 3, 7, 8)).astype(np.float32)
    path = model(tmp_path, "Conv", weights, False, **attributes)
    found, inputs = example.onnx_node.recorded(path, "product", [{"x": x}], 10_000)
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (expected,) = session.run(["y"], {"x": x})
    own = np.maximum(inputs @ found.T, 0)
    assert own.shape[0] == expected.size // 4
    np.testing.assert_allclose(own, expected.transpose(0, 2, 3, 1).reshape(-1, 4), atol=1e-5)


def test_a_file_of_ones_own_in_a_short_run(example, tmp_path):
    path = model(tmp_path, "MatMul", RNG.normal(size=(12, 4)).astype(np.float32), False)
    np.savez(tmp_path / "inputs.npz", x=RNG.normal(size=(90, 12)).astype(np.float32))
    given = ["--file", str(path), "--node", "product", "--inputs", str(tmp_path / "inputs.npz"), "--bits", "2"]
    example.main([*given, "--t-end", "4", "--seeds", "2", "--out", str(tmp_path / "out")])
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["layers"][0]["rows"], found["layers"][0]["dim"]) == (4, 12)
    assert set(found["cases"][0]) >= {"activations", "online", "gaussian", "fixed point", "isotropic"}
    assert (tmp_path / "out.png").exists()


def test_what_the_models_are_given(example):
    pytest.importorskip("PIL", reason="pillow is not installed")
    image = next(example.lines_of_text())["x"]
    assert image.shape == (1, 3, 48, 320)
    assert image.min() < 0 < image.max()
    row = next(example.file_bytes())["bytes"]
    assert row.shape == (1, 2048)
    assert row.dtype == np.int32
    assert 0 <= row.min() <= row.max() <= 256


def test_table_of_the_page_is_that_of_the_run(example):
    data = json.loads(DATA.read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    assert example.real_layer.table(data) in page
    for facts in data["layers"]:
        assert f"{facts['effective dimension']:.0f} of {facts['dim']}" in page


def test_findings_of_the_page_hold_in_the_numbers_of_the_run():
    cases = json.loads(DATA.read_text(encoding="utf-8"))["cases"]
    assert [(case["layer"], case["bits"]) for case in cases] == [
        (name, bits) for name in ("convolution", "projection", "files") for bits in (2, 3, 4)
    ]

    def number(case, key):
        return case[key][0] if isinstance(case[key], list) else case[key]

    def percent(over, under, name=None):
        chosen = [case for case in cases if name in (None, case["layer"])]
        values = [100 * (number(case, over) / number(case, under) - 1) for case in chosen]
        return round(min(values)), round(max(values))

    assert percent("fixed point", "activations") == (-2, 9)
    assert percent("fixed point", "activations", "projection") == (7, 9)
    assert percent("fixed point", "activations", "files") == (-2, 0)
    assert percent("isotropic", "activations") == (5, 42)
    assert percent("gaussian", "fixed point") == (-4, 3)
    assert percent("activations", "gaussian") == (-6, 2)
    assert percent("online", "activations") == (-2, 3)
    clipped = [round(100 * case["share clipped"]) for case in cases if case["bits"] == 2]
    assert (min(clipped), max(clipped)) == (10, 20)
    worse = {key: [number(case, key) > case["nearest"] for case in cases] for key in ("activations", "fixed point")}
    assert sum(worse["activations"]) == 7
    different = [a != b for a, b in zip(*worse.values(), strict=True)]
    assert [k for k, differ in enumerate(different) if differ] == [6]
    assert all(case["isotropic"] > case["nearest"] for case in cases)
    lowest = [int(np.argmin(case["activations over time"])) for case in cases]
    parts = [case["activations over time"][k] / case["nearest"] for case, k in zip(cases, lowest, strict=True)]
    times = [case["times"][k] for case, k in zip(cases, lowest, strict=True)]
    assert (round(100 * min(parts)), round(100 * max(parts))) == (45, 73)
    assert (round(min(times), 1), round(max(times), 1)) == (0.4, 3.5)
    parts = [case["gptq"] / case["nearest"] for case in cases]
    assert (round(100 * min(parts)), round(100 * max(parts))) == (29, 64)
