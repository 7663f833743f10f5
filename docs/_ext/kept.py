"""Figures and numbers made at build time, kept in docs/_build/cache under a name that hashes all they depend on."""

import functools
import hashlib
import json
import pathlib
import time

import jax
import matplotlib
import matplotlib.pyplot as plt

DOCS = pathlib.Path(__file__).resolve().parents[1]
CACHE = DOCS / "_build" / "cache"
PACKAGE = DOCS.parent / "steode"
UNUSED = ("cli", "studies/report", "plot/explore")
"""Rooms of the package that no check calls."""


@functools.cache
def code_hash(module: str) -> str:
    """Hash of the package's Python, of the module that draws, and of the libraries that compute and draw.

    What no check calls is left out: the command line, reports, and the explorer in Jupyter.
    """
    digest = hashlib.sha256(f"jax {jax.__version__} matplotlib {matplotlib.__version__}".encode())
    unused = [PACKAGE / room for room in UNUSED]
    inside = [p for p in sorted(PACKAGE.rglob("*.py")) if not any(p.is_relative_to(room) for room in unused)]
    for path in (*inside, pathlib.Path(__file__).with_name(f"{module}.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def kept(check, *arguments, suffix: str = ".png") -> tuple[str | None, str]:
    """Path of the figure from the docs' root (None where there is none) and the text of `check(*arguments)`.

    The check returns a matplotlib figure or None, and Markdown. It runs only if nothing is kept for its name, its
    arguments as they print, and the code.
    """
    key = f"{code_hash(check.__module__)} {check.__name__} {arguments!r}"
    name = f"{check.__name__}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    record, figure_path = CACHE / f"{name}.json", CACHE / f"{name}{suffix}"
    if not record.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        begin = time.process_time()
        figure, text = check(*arguments)
        if figure is not None:
            figure.savefig(figure_path, dpi=160, facecolor="white")
            plt.close(figure)
        seconds = round(time.process_time() - begin, 1)
        about = {"text": text, "figure": figure is not None, "processor seconds": seconds}
        record.write_text(json.dumps(about), encoding="utf-8")
    found = json.loads(record.read_text(encoding="utf-8"))
    return (f"/_build/cache/{name}{suffix}" if found["figure"] else None), found["text"]
