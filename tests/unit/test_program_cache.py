"""Compiled programs that commands keep in the user's cache folder."""

import os
import subprocess
import sys

import pytest

from steode.cli import program_cache


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A user with an empty cache folder in a process that has not imported JAX."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    for name in [name for name in os.environ if name.startswith(("JAX_COMPILATION", "JAX_PERSISTENT"))]:
        monkeypatch.delenv(name)
    return monkeypatch


def test_a_second_command_finds_the_programs_of_the_first(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "steode_command", "solve", "--t-end", "0.5"]
    printed, files = [], []
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        printed.append(done.stdout)
        files.append(sorted(path.name for path in (tmp_path / "steode" / "programs").rglob("*-cache")))
    assert printed[0] == printed[1]
    assert files[0]
    assert files[0] == files[1]


def test_what_the_user_chose_stays(environment):
    environment.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    program_cache.use_program_cache()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "elsewhere"


def test_a_folder_that_cannot_be_made_is_done_without(environment, tmp_path):
    (tmp_path / "steode").write_text("a file in the way")
    program_cache.use_program_cache()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


def test_programs_longest_unused_are_removed(environment, tmp_path):
    for age in range(4):
        path = tmp_path / f"program {age}"
        path.write_bytes(bytes(100))
        os.utime(path, (1e9 - age, 1e9 - age))
    environment.setattr(program_cache, "LARGEST", 250)
    program_cache._prune(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["program 0", "program 1"]
