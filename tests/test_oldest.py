"""The lowest versions that pyproject.toml allows are those that `make test-oldest` installs."""

import pathlib
import re
import tomllib

ROOT = pathlib.Path(__file__).parents[1]


def test_the_pins_are_the_lower_bounds_of_the_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = [re.match(r"([\w-]+)>=([\d.]+)", entry).groups() for entry in project["dependencies"]]
    lines = (ROOT / "tests" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    assert [tuple(line.split("==")) for line in lines if not line.startswith("#")] == bounds
