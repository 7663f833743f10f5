"""The results folder: every file appears whole, as soon as it is computed, and nobody else's file is touched."""

import json
import pathlib

import matplotlib
from matplotlib.figure import Figure

from steode.errors import SpecificationError
from steode.trajectory import Trajectory


class ResultsFolder:
    """A folder that is written to. Files of the same name are replaced; all others stay as they are.

    Raises `SpecificationError` if the path cannot be made a folder.
    """

    def __init__(self, path: pathlib.Path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SpecificationError("out", "a folder that can be written", str(path), f"{error}.") from None
        self.path = path

    def text(self, name: str, content: str) -> pathlib.Path:
        """Write a UTF-8 text file."""
        return self._whole(name, lambda partial: partial.write_text(content, encoding="utf-8"))

    def json(self, name: str, content) -> pathlib.Path:
        """Write a JSON file."""
        return self.text(name, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def trajectory(self, name: str, content: Trajectory) -> pathlib.Path:
        """Write a trajectory as netCDF."""
        path = self._place(name)
        return content.save(path)

    def figure(self, name: str, figure: Figure) -> pathlib.Path:
        """Write a figure as `name`.png and `name`.svg; returns the path of the latter."""
        self._whole(f"{name}.png", lambda partial: figure.savefig(partial, format="png", dpi=150))
        # the same figure gives the same file: no date, no random identifiers
        with matplotlib.rc_context({"svg.hashsalt": "steode"}):
            return self._whole(
                f"{name}.svg", lambda partial: figure.savefig(partial, format="svg", metadata={"Date": None})
            )

    def _place(self, name: str) -> pathlib.Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _whole(self, name: str, write) -> pathlib.Path:
        path = self._place(name)
        partial = path.with_name(path.name + ".partial")
        write(partial)
        return partial.replace(path)
