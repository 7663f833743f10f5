"""A layer from files: what is read, what is refused, what the command writes."""

import json
import re
import sys

import ml_dtypes
import numpy as np
import pytest
import xarray

from steode import SpecificationError, layer
from steode.cli import app

pytestmark = pytest.mark.representative

RNG = np.random.default_rng(17)
WEIGHTS, INPUTS = RNG.normal(size=(3, 16)), RNG.normal(size=(60, 16)).astype(np.float32)
TEXT = """
system = "layer"
[model]
weights = "weights.npy"
activations = "inputs.npz:x"
bits = 3
range = "mean square"
learning_rate = 0.1
input_quantizer = {type = "Uniform", bits = 4, range = 3.0}
[run]
steps = 60
rows = 2
"""


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "weights.npy", WEIGHTS)
    np.save(tmp_path / "ranges.npy", np.array([1.0, 2.0, 3.0]))
    np.savez(tmp_path / "inputs.npz", x=INPUTS, y=WEIGHTS)
    return tmp_path


def written(folder, text=TEXT):
    path = folder / "layer.toml"
    path.write_text(text)
    return path


def test_a_file_makes_its_model(folder):
    study = layer.read_study(written(folder), {"model.bits": 4, "run.seeds": 3})
    model = study.cases[""]
    np.testing.assert_array_equal(model.weights, WEIGHTS)
    np.testing.assert_array_equal(model.activations, INPUTS)
    assert (model.bits, model.range, model.quantizes_inputs) == (4, "mean square", True)
    assert (study.settings.steps, study.settings.rows, study.settings.seeds) == (60, 2, 3)
    given = layer.read_study(written(folder), {"model.range": "ranges.npy"}).cases[""]
    assert given.grid.high.ravel().tolist() == pytest.approx([1, 2, 3])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("weights.npy", "none.npy", "model.weights.*readable .npy"),
        ("weights.npy", "weights.pkl", "ending in .npy or .npz or .safetensors"),
        ("weights.npy", "/etc/weights.npy", "below"),
        ("inputs.npz:x", "inputs.npz:z", "one of x, y"),
        ("bits = 3", "bit = 3", "model.bit: expected one of"),
        ("bits = 3", "", "the arguments of LayerModel"),
        ("steps = 60", "steps = 0", "run.steps"),
        ("learning_rate = 0.1", 'learning_rate = "0.1*tau"', "learning_rate"),
    ],
)
def test_mistakes_are_explained(folder, old, new, message):
    text = TEXT.replace(old, new, 1)
    with pytest.raises(SpecificationError, match=message):
        layer.read_study(written(folder, text))


def test_files_of_objects_are_refused(folder):
    np.save(folder / "weights.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(SpecificationError, match="Python objects"):
        layer.read_study(written(folder))


def test_the_command_writes_rows_advice_and_summary(folder, capsys):
    text = TEXT + '[vary]\nparameter = "bits"\nvalues = [2, 3]\n'
    app(["run", str(written(folder, text)), "--out", str(folder / "out")], standalone_mode=False)
    assert "Advice for 60 steps" in capsys.readouterr().out
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert set(summary) == {"bits = 2", "bits = 3"}
    with xarray.open_dataset(folder / "out" / "rows-bits-3.nc") as rows:
        once = layer.rounding(layer.read_study(written(folder)).cases[""])
        np.testing.assert_allclose(rows["gptq"], once.V["gptq"])
        assert rows["training"].shape == (3,)
    assert "Fixed points" in (folder / "out" / "advice.txt").read_text()
    with xarray.open_dataset(folder / "out" / "runs-bits-2-epochs.nc") as runs:
        last = runs["V"].isel(time=-1).mean("row").values
        assert runs["time"].values[-1] == pytest.approx(60 / 16)
    np.testing.assert_allclose(last, summary["bits = 2"]["V at the end of runs, each"]["epochs"], rtol=1e-6)
    page = (folder / "out" / "index.html").read_text(encoding="utf-8")
    places = [page.index(part) for part in ("Advice for 60 steps", "class=findings", "<figure>", "All 3 rows")]
    assert places == sorted(places)
    assert page.count("data:image/svg+xml;base64,") == 6
    assert not re.search(r"(?:src|href)=.(?!data:)", page)
    assert "Not finished" not in page
    for case in summary.values():
        assert f"<td>{case['V and its error']['nearest'][0]:.4g}</td>" in page
        assert f"<td>{case['mean V of all rows']['training']:.4g}</td>" in page


def test_a_second_moment_has_gaussian_runs_alone(folder):
    np.save(folder / "moment.npy", np.eye(16))
    text = TEXT.replace('activations = "inputs.npz:x"', 'second_moment = "moment.npy"')
    text = text.replace('input_quantizer = {type = "Uniform", bits = 4, range = 3.0}\n', "")
    app(["run", str(written(folder, text)), "--out", str(folder / "out")], standalone_mode=False)
    names = {path.name for path in (folder / "out").glob("*.nc")}
    assert names == {"rows-model.nc", "runs-model-gaussian.nc"}
    page = (folder / "out" / "index.html").read_text(encoding="utf-8")
    assert "runs on Gaussian inputs" in page
    assert "runs on the activations" not in page


def saved(folder, **tensors):
    numpy_files = pytest.importorskip("safetensors.numpy", reason="the extra safetensors is not installed")
    numpy_files.save_file(tensors, folder / "all.safetensors")


def from_safetensors(folder, weights="all.safetensors:fc.weight"):
    text = TEXT.replace("weights.npy", weights).replace("inputs.npz:x", "all.safetensors:inputs")
    return layer.read_study(written(folder, text)).cases[""]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.int8])
def test_tensors_of_a_safetensors_file(folder, dtype):
    weights = (WEIGHTS * 3).astype(dtype)
    saved(folder, **{"fc.weight": weights, "inputs": INPUTS})
    model = from_safetensors(folder)
    np.testing.assert_array_equal(model.weights, weights.astype(float))
    np.testing.assert_array_equal(model.activations, INPUTS)


def test_the_only_tensor_needs_no_name(folder):
    saved(folder, w=WEIGHTS)
    given = layer.read_study(written(folder, TEXT.replace("weights.npy", "all.safetensors"))).cases[""]
    np.testing.assert_array_equal(given.weights, WEIGHTS)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("all.safetensors", "one of .*fc.weight.*Name one"),
        ("all.safetensors:fc", "one of .*fc.weight"),
        ("all.safetensors:mask", "of BOOL.*Convert it"),
        ("all.safetensors:small", "of F8_E4M3.*Convert it"),
        ("none.safetensors:w", "readable .safetensors.*no such file"),
        ("/etc/all.safetensors:w", "below"),
        ("short.safetensors:fc.weight", "readable .safetensors.*not fully covered"),
        ("text.safetensors:fc.weight", "readable .safetensors"),
        ("empty.safetensors:fc.weight", "readable .safetensors"),
    ],
)
def test_mistakes_in_safetensors_files_are_explained(folder, weights, message):
    small = WEIGHTS.astype(ml_dtypes.float8_e4m3fn)
    saved(folder, **{"fc.weight": WEIGHTS, "inputs": INPUTS, "mask": WEIGHTS > 0, "small": small})
    content = (folder / "all.safetensors").read_bytes()
    for name, part in (("short", content[:-8]), ("text", b"weights: 1, 2, 3\n"), ("empty", b"")):
        (folder / f"{name}.safetensors").write_bytes(part)
    with pytest.raises(SpecificationError, match=f"(?s)model.weights.*{message}"):
        from_safetensors(folder, weights)


def test_too_many_numbers_are_refused_before_they_are_read(folder, monkeypatch):
    saved(folder, **{"fc.weight": WEIGHTS, "inputs": INPUTS})
    monkeypatch.setattr("steode.systems.layer.safetensors_file.MOST_NUMBERS", WEIGHTS.size)
    with pytest.raises(SpecificationError, match=r"model.activations.*at most"):
        from_safetensors(folder)


def test_without_the_library_the_remedy_is_said(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(SpecificationError, match=r"steode\[safetensors\]"):
        from_safetensors(folder)
