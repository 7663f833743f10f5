"""Arrays that a specification names: below its own folder unless more is allowed, numbers only, of a bounded size."""

import numpy as np
import pytest

from steode import Empirical, SpecificationError, regression, sweep
from steode.cli import main
from steode.parts.laws import array_file
from steode.parts.spectrum import Eigenvalues
from steode.studies.report.study import read_study
from steode.studies.report.sweep_study import read_sweep


def command(*arguments) -> int:
    """Run the command in this process; its exit status."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return 0 if stop.code is None else stop.code
    return 0


@pytest.fixture
def folders(tmp_path):
    """A specification's folder with weights below it, other weights beside it, and a link to those."""
    home, away = tmp_path / "home", tmp_path / "away"
    (home / "data").mkdir(parents=True)
    away.mkdir()
    np.save(home / "data" / "weights.npy", np.array([0.5, -1.0]))
    np.save(away / "weights.npy", np.array([2.0, 3.0]))
    (home / "link.npy").symlink_to(away / "weights.npy")
    (home / "inside.npy").symlink_to(home / "data" / "weights.npy")
    return home, away


MODELS = {
    "linear": ('[model]\nteacher = {{type = "Empirical", values = "{}"}}', read_study, lambda case: case.teacher),
    "spectrum": (
        '[model]\nteacher = {{type = "Constant", value = 1}}\nspectrum = {{type = "Eigenvalues", values_at = "{}"}}',
        read_study,
        lambda case: case.spectrum,
    ),
    "regression": (
        '[model]\nspectrum = [1.0, 2.0]\nstep_size = 0.1\nteacher = "{}"',
        regression.read_study,
        lambda case: case.teacher,
    ),
}


def models(study):
    return [case.model for case in study.cases] if isinstance(study.cases, tuple) else list(study.cases.values())


@pytest.mark.parametrize("name", MODELS)
def test_files_are_named_below_the_specification_only(folders, name):
    home, away = folders
    text, read, part = MODELS[name]
    path = home / "spec.toml"
    if name == "spectrum":
        np.save(home / "data" / "weights.npy", np.array([0.5, 1.0]))
    for inside in ("data/weights.npy", "./data/../data/weights.npy", "inside.npy", home / "data" / "weights.npy"):
        path.write_text(text.format(inside))
        (model,) = models(read(path))
        assert part(model).values[0] == 0.5
    for outside in ("../away/weights.npy", "link.npy", away / "weights.npy", "data/../../away/weights.npy"):
        path.write_text(text.format(outside))
        with pytest.raises(SpecificationError, match=r"a file below .*--allow-outside"):
            read(path)
        (model,) = models(read(path, allow_outside=True))
        assert part(model).values[0] == 2.0


def test_the_command_line_may_allow_more(folders, capsys):
    home, away = folders
    path = home / "spec.toml"
    path.write_text(f'[model]\nteacher = {{type = "Empirical", values = "{away}/weights.npy"}}\n')
    assert command("fixed-points", path) == 2
    assert "--allow-outside" in capsys.readouterr().err
    assert command("fixed-points", path, "--allow-outside") == 0


def test_the_axes_of_a_sweep_name_files_below_it_only(folders):
    home, _ = folders
    path = home / "spec.toml"
    text = (
        '[model]\nteacher = {{type = "Empirical", values = [1.0]}}\n[sweep]\n[sweep.axes]\n"teacher.values" = ["{}"]\n'
    )
    path.write_text(text.format("data/weights.npy"))
    study = read_sweep(path)
    assert sweep(study.model, study.axes)["eps_g"].size == 1
    path.write_text(text.format("../away/weights.npy"))
    with pytest.raises(SpecificationError, match="a file below"):
        read_sweep(path)
    assert read_sweep(path, allow_outside=True).axes


def header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + b"\0" * 64


@pytest.mark.parametrize(
    "content",
    [
        header("(1000000000000,)"),
        header("(100000, 100000, 100000)"),
        header("(-1,)"),
        header("(2,)", "'|O'"),
        header("(2,)", "[('a', '|O')]"),
        header("(2,)", "__import__('os').system('touch canary')"),
        header("(2,)", "(" * 60),
        header("(1000,)"),
    ],
)
def test_arrays_are_no_larger_than_their_files_and_hold_no_objects(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.npy"
    path.write_bytes(content)
    with pytest.raises(SpecificationError, match=r"readable \.npy file") as caught:
        Empirical(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(SpecificationError):
        Eigenvalues(path)
    assert [file.name for file in tmp_path.iterdir()] == ["weights.npy"]


def test_arrays_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(array_file, "MOST_NUMBERS", 10)
    np.save(tmp_path / "weights.npy", np.ones(11))
    with pytest.raises(SpecificationError, match="at most 10"):
        Empirical(tmp_path / "weights.npy")
