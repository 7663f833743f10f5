"""The command line: files it writes, tables it prints, and errors it explains."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from steode.cli import main
from steode.studies.report import results
from steode.studies.report.study import BUILT_IN, RunSettings, built_in_studies
from steode.systems.linear.trajectory import Trajectory

STUDY = """
title = "A small study"
description = "Two <learning> rates."
[model]
teacher = {type = "Constant", value = 1.0}
weight_quantizer = {type = "Uniform", bits = 3, range = 2.0, kind = "mid-tread"}
init = {type = "Normal", std = 0.3}
[vary]
parameter = "weight_quantizer.range"
values = [2, 3.0]
[run]
t_end = 2.0
dim = 40
seeds = 3
times = 5
tolerance = 0.02
snapshot_times = [1.0]
table_times = [1.0, 2.0]
"""


def command(*arguments) -> int:
    """Run the command in this process; its exit status."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return 0 if stop.code is None else stop.code
    return 0


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("spec") / "small.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def done(spec, tmp_path_factory):
    """The results folder of one run, what it printed, and a file of somebody else's that was there before."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "mine.txt").write_text("keep")
    (folder / "report.html").write_text("old")
    code = "import sys; from steode.cli import main; main(sys.argv[1:])"
    arguments = [sys.executable, "-c", code, "run", str(spec), "--out", str(folder)]
    finished = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return folder, finished


def test_run_writes_everything_and_leaves_other_files_alone(done):
    folder, _ = done
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    figures = {f"small/{name}.{kind}" for name in ("error", "gap", "density", "deviation") for kind in ("png", "svg")}
    each = {("derivation", "md"), ("derivation", "tex"), ("limit", "nc"), ("simulation", "nc")}
    data = {f"small/{stem}-range-{value}.{kind}" for stem, kind in each for value in (2, 3)}
    assert written == {"mine.txt", "report.html", "summary.json"} | figures | data
    assert (folder / "mine.txt").read_text() == "keep"


def test_the_printed_table_is_the_comparison(done):
    folder, finished = done
    case = json.loads((folder / "summary.json").read_text())["studies"][0]["cases"][0]["eps_g"]
    rows = re.findall(r"^ +([12]) +(\S+) +(\S+) +(\S+) +(\S+) +(\S+)$", finished.stdout, re.MULTILINE)[:2]
    columns = ("times", "theory", "simulation", "gap", "standard_error", "z")
    for index, row in enumerate(rows):
        assert [float(cell) for cell in row] == pytest.approx([case[name][index] for name in columns], abs=0.006)
    assert len(rows) == 2
    assert "range = 2" in finished.stdout
    assert f"Report: {folder / 'report.html'}" in finished.stdout


def test_progress_goes_to_standard_error_and_nothing_warns(done):
    _, finished = done
    steps = [line.split(": ")[-1] for line in finished.stderr.splitlines()]
    assert steps == ["derive", "fixed points", "solve", "simulate", "compare"] * 2


def test_the_data_can_be_loaded_and_the_gap_recomputed(done):
    folder, _ = done
    limit, runs = (Trajectory.load(folder / "small" / f"{name}-range-3.nc") for name in ("limit", "simulation"))
    case = json.loads((folder / "summary.json").read_text())["studies"][0]["cases"][1]
    assert case["value"] == 3
    assert np.array_equal(limit.times, runs.times)
    gap = runs["eps_g"].mean(axis=0) - limit["eps_g"]
    assert case["eps_g"]["gap"] == pytest.approx([gap[2], gap[4]])
    assert runs["eps_g"].shape == (3, 5)


def test_the_summary_is_strict_json_and_complete(done):
    folder, _ = done

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    summary = json.loads((folder / "summary.json").read_text(), parse_constant=refuse)
    assert summary["complete"] is True
    assert summary["studies"][0]["settings"]["dim"] == 40


def test_the_page_needs_no_network(done):
    page = (done[0] / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)="?([^">]{0,20})', page)
    assert sources
    assert all(source.startswith("data:image/svg+xml") for source in sources)
    assert "<script" not in page
    assert "url(" not in page
    assert page.count("<math") > 15
    assert "Two &lt;learning&gt; rates." in page
    assert "Not finished" not in page


def test_an_interrupted_run_keeps_what_was_finished(spec, tmp_path, monkeypatch, capsys):
    calls = []

    def interrupted_at_the_second_case(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return simulate(*arguments, **options)

    simulate = results.simulate
    monkeypatch.setattr(results, "simulate", interrupted_at_the_second_case)
    assert command("run", spec, "--out", tmp_path / "out", "--method", "gaussian") == 130
    assert "interrupted" in capsys.readouterr().err
    kept = {path.name for path in (tmp_path / "out" / "small").glob("*.nc")}
    assert kept == {"limit-range-2.nc", "simulation-range-2.nc", "limit-range-3.nc"}
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["complete"] is False
    assert len(summary["studies"][0]["cases"]) == 1
    assert "Not finished" in (tmp_path / "out" / "report.html").read_text()


def test_derive_prints_markdown_or_writes_a_document(tmp_path, capsys):
    assert command("derive", "--step", "density equation") == 0
    assert "### density equation" in capsys.readouterr().out
    for suffix, mark in ((".md", "$$"), (".tex", r"\begin{document}"), (".html", "<math")):
        assert command("derive", "--out", tmp_path / f"limit{suffix}") == 0
        assert mark in (tmp_path / f"limit{suffix}").read_text(encoding="utf-8")


def test_solve_prints_and_saves(tmp_path, capsys):
    arguments = ("--t-end", 1, "--times", 3, "--method", "gaussian", "--out", tmp_path / "limit.npz")
    assert command("solve", *arguments) == 0
    saved = Trajectory.load(tmp_path / "limit.npz")
    assert saved.times.tolist() == [0, 0.5, 1]
    assert f"{saved['eps_g'][-1]:.5f}" in capsys.readouterr().out


def test_simulate_prints_and_saves_each_case(spec, tmp_path, capsys):
    options = ("--seeds", 1, "--dim", 30, "--checkpoint", tmp_path / "check.npz")
    assert command("simulate", spec, *options, "--key", 5, "--out", tmp_path / "runs.nc") == 0
    assert command("simulate", spec, *options, "--key", 6) == 2  # the checkpoint is of another run
    saved = Trajectory.load(tmp_path / "runs-range-3.nc")
    assert saved["eps_g"].shape == (1, 5)
    printed = capsys.readouterr().out
    assert f"{saved['eps_g'][0, -1]:.5f}" in printed
    assert "weight_quantizer.range = 3" in printed
    assert (tmp_path / "runs-range-2.nc").exists()
    assert (tmp_path / "check-range-2.npz").exists()


def test_fixed_points_of_the_reference_model(capsys):
    assert command("fixed-points") == 0
    assert "0.204148" in capsys.readouterr().out
    assert command("fixed-points", "--set", "learning_rate=1.0") == 0
    assert "0.34679" in capsys.readouterr().out


def test_set_takes_bare_words_and_whole_tables(capsys):
    assert (
        command(
            "fixed-points", "--set", "weight_quantizer.kind=mid-tread", "--set", 'input_quantizer={type="Identity"}'
        )
        == 0
    )
    assert "0.500000" in capsys.readouterr().out


def test_plateau_of_a_saved_trajectory(done, capsys):
    assert command("plateau", done[0] / "small" / "limit-range-3.nc") == 0
    assert "Plateaus of eps_g" in capsys.readouterr().out


MISTAKES = {
    "unknown key": (["fixed-points", "--set", "learnin_rate=0.5"], "model.learnin_rate.*Did you mean 'learning_rate'"),
    "unknown run key": (["run", "--set", "run.sedes=3"], "run.sedes.*Did you mean 'seeds'"),
    "bad value": (["fixed-points", "--set", "learning_rate=-1"], "learning_rate: expected a number > 0"),
    "no value": (["fixed-points", "--set", "learning_rate"], "--set: expected KEY=VALUE"),
    "no such table": (["fixed-points", "--set", "surrogate.bound=1"], "model.surrogate.bound: expected a table"),
    "missing file": (["run", "absent.toml"], "file: expected a readable TOML file, received 'absent.toml'"),
    "missing data": (["plateau", "absent.nc"], "path: expected a readable trajectory file"),
    "one seed": (["run", "--seeds", "1"], "run.seeds: expected an integer >= 2"),
    "no dimension": (["run", "--dim", "0"], "run.dim: expected an integer >= 1"),
    "unknown method": (["solve", "--method", "magic"], "run.method: expected one of density"),
    "wrong suffix": (["solve", "--out", "limit.txt"], "--out: expected a file name ending in .nc or .npz or .csv"),
    "absent folder": (["solve", "--out", "absent/limit.nc"], "--out: expected a file in a folder that exists"),
    "unknown step": (["derive", "--step", "nonsense"], "title: expected one of update"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_clear_message_and_status_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert re.match(f"steode: .*{message}", printed.err)
    assert list(tmp_path.iterdir()) == []


FILES = {
    "unknown table": ("[modle]\nx = 1", "file.modle: .*Did you mean 'model'"),
    "no model": ("[run]\nt_end = 1.0", r"file: expected a table \[model\]"),
    "model no table": ("model = 3", "model: expected a table"),
    "run no table": ("run = 3\n[model]\nteacher = {type = 'Constant', value = 1.0}", "run: expected a table"),
    "vary nothing": (
        "[vary]\nparameter = 'noise'\n[model]\nteacher = {type = 'Constant', value = 1.0}",
        "vary.values: ",
    ),
    "vary twice": (
        "[vary]\nparameter = 'noise'\nvalues = [1.0, 1.0]\n[model]\nteacher = {type = 'Constant', value = 1.0}",
        "vary.values: expected different numbers",
    ),
    "vary unknown": (
        "[vary]\nparameter = 'nose'\nvalues = [1.0]\n[model]\nteacher = {type = 'Constant', value = 1.0}",
        "model.nose: .*Did you mean 'noise'",
    ),
    "not TOML": ("[model", "file: expected valid TOML"),
}


@pytest.mark.parametrize(("text", "message"), FILES.values(), ids=FILES)
def test_mistakes_in_a_file_are_explained(text, message, tmp_path, capsys):
    (tmp_path / "spec.toml").write_text(text)
    assert command("fixed-points", tmp_path / "spec.toml") == 2
    assert re.match(f"steode: {message}", capsys.readouterr().err)


def test_an_unknown_command_is_refused(capsys):
    assert command("slove") == 2
    assert "No such command 'slove'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["run", "derive", "solve", "simulate", "fixed-points", "plateau"])
def test_help_teaches_with_examples(name, capsys):
    assert command(name, "--help") == 0
    printed = capsys.readouterr().out
    assert f"steode {name}" in printed
    assert "Examples" in printed


def test_help_shows_a_specification_that_is_the_reference_model(tmp_path, capsys):
    assert command("--help") == 0
    text = capsys.readouterr().out
    shown = text[text.index("[model]") : text.index("[vary]")]
    (tmp_path / "shown.toml").write_text("\n".join(line.strip() for line in shown.splitlines()))
    assert command("fixed-points", tmp_path / "shown.toml") == 0
    shown_points = capsys.readouterr().out
    command("fixed-points")
    assert capsys.readouterr().out == shown_points


def test_version(capsys):
    assert command("--version") == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_built_in_studies_are_those_the_documentation_names():
    assert [study.name for study in built_in_studies()] == list(BUILT_IN)
    reference, plateaus = built_in_studies()
    assert reference.cases[0].model.learning_rate == 0.1
    assert [case.value for case in plateaus.cases] == [case.model.weight_quantizer.range for case in plateaus.cases]
    assert len(plateaus.cases) == 3


def test_times_beyond_a_shorter_run_are_left_out():
    assert RunSettings(t_end=10.0, snapshot_times=[5.0, 20.0], table_times=[50.0]).snapshot_times == (5.0,)
    assert RunSettings(t_end=10.0, table_times=[50.0]).table_times == (0.5, 1.0, 2.5, 5.0, 10.0)
