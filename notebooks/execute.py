"""Execute the notebooks: NN_name.py (jupytext, py:percent) becomes NN_name.ipynb with its outputs.

    python notebooks/execute.py            # all of them, one after the other
    python notebooks/execute.py 03         # those whose name starts so

Needs the extra `notebooks`. The same source gives the same cells, and no output holds a path or a time.
"""

import argparse
import base64
import io
import os
import pathlib
import time

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = pathlib.Path(__file__).parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
LARGEST = 300_000
"""Bytes a notebook may have, outputs included."""
TIMEOUT = 300
"""Seconds a cell may take."""
COLORS = 256
"""Colors kept in a figure: no loss to the eye, a third of the bytes."""


def execute(source: pathlib.Path) -> nbformat.NotebookNode:
    """The notebook of a source with the outputs of a fresh kernel, free of what differs from run to run."""
    notebook = jupytext.read(source, fmt="py:percent")
    NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": FOLDER}}).execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", nbformat.from_dict({})
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = smaller(data["image/png"])
                # the representation of a figure says its size in pixels, nothing more
                output.metadata = nbformat.from_dict({})
    # identifiers of cells exist from 4.5 on
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return notebook


def smaller(png: str) -> str:
    """A figure, in base64, with a palette of its own."""
    buffer = io.BytesIO()
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    palette = image.quantize(COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette.save(buffer, "png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[""], help="beginnings of names; all if not given")
    names = tuple(parser.parse_args().names)
    # no bar of tqdm, no warning about a debugger in the outputs
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    for source in sorted(FOLDER.glob("[0-9][0-9]_*.py")):
        if not source.name.startswith(names):
            continue
        began = time.perf_counter()
        text = nbformat.writes(execute(source)) + "\n"
        size = len(text.encode())
        if size > LARGEST:
            raise SystemExit(f"{source.stem}: {size} bytes with its outputs, more than {LARGEST}; draw less.")
        source.with_suffix(".ipynb").write_text(text, encoding="utf-8")
        print(f"{source.stem}: {time.perf_counter() - began:.0f} s, {size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
