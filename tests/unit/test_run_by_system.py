"""steode run: which system a file names, and what is refused before anything is computed."""

import sys
import types

import pytest

from steode import SpecificationError
from steode.cli import app
from steode.cli.run import SYSTEMS

MODEL = "[model]\nrows = 2\nfilter_size = 2\n"


def command(*arguments) -> None:
    app([str(argument) for argument in arguments], standalone_mode=False)


def test_the_system_of_the_file_decides(tmp_path, monkeypatch):
    calls = []
    for name, module_name in SYSTEMS.items():
        module = types.ModuleType(name)
        module.run_file = lambda *given, name=name: calls.append((name, *given))
        monkeypatch.setitem(sys.modules, f"steode.cli.{module_name}", module)
        path = tmp_path / f"{name}.toml"
        path.write_text(f'system = "{name}"\n')
        changes = ("--set", "step=0.1", "--set", "run.seeds=2", "--set", 'vary.values=["relu"]')
        command("run", path, "--out", tmp_path / "out", *changes)
        expected = {"model.step": 0.1, "run.seeds": 2, "vary.values": ["relu"]}
        assert calls.pop() == (name, path, expected, tmp_path / "out", False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('system = "binary_rely"\n' + MODEL, "system: expected one of linear, fogzo, .* binary_relu"),
        (MODEL, "model.rows: expected one of .*weight_quantizer"),
        ("system = 3\n" + MODEL, "received 3"),
        ("system = \n", "valid TOML"),
        ('system = "binary_relu"\n' + MODEL.replace("= 2", "= 1"), "filter_size"),
        ('system = "binary_relu"\n' + MODEL + 'surrogate = "sigmoid"', "one of identity, relu"),
        ('system = "binary_relu"\n' + MODEL + "[run]\nt_end = -1", "run.t_end"),
    ],
)
def test_mistakes_are_explained(tmp_path, text, message):
    path = tmp_path / "spec.toml"
    path.write_text(text)
    with pytest.raises(SpecificationError, match=message):
        command("run", path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_stands_in_the_way_is_left_alone(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text('system = "binary_relu"\n' + MODEL)
    with pytest.raises(SpecificationError, match="--out"):
        command("run", path, "--out", path)
    with pytest.raises(SpecificationError, match="--set"):
        command("run", path, "--out", tmp_path / "out", "--set", "step")
    with pytest.raises(SpecificationError, match="readable TOML"):
        command("run", tmp_path / "none.toml")
