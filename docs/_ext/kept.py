"""Figures and numbers made at build time, kept in docs/_build/cache under a name that hashes all they depend on."""

import functools
import hashlib
import json
import pathlib

import jax
import matplotlib
import matplotlib.pyplot as plt

DOCS = pathlib.Path(__file__).resolve().parents[1]
CACHE = DOCS / "_build" / "cache"
PACKAGE = DOCS.parent / "steode"


@functools.cache
def code_hash(module: str) -> str:
    """Hash of the package's Python, of the module that draws, and of the libraries that compute and draw."""
    digest = hashlib.sha256(f"jax {jax.__version__} matplotlib {matplotlib.__version__}".encode())
    for path in (*sorted(PACKAGE.rglob("*.py")), pathlib.Path(__file__).with_name(f"{module}.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def kept(check, *arguments) -> tuple[str | None, str]:
    """Path of the figure from the docs' root (None where there is none) and the text of `check(*arguments)`.

    The check returns a matplotlib figure or None, and Markdown. It runs only if nothing is kept for its name, its
    arguments as they print, and the code.
    """
    key = f"{code_hash(check.__module__)} {check.__name__} {arguments!r}"
    name = f"{check.__name__}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    record, figure_path = CACHE / f"{name}.json", CACHE / f"{name}.png"
    if not record.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        figure, text = check(*arguments)
        if figure is not None:
            figure.savefig(figure_path, dpi=160, facecolor="white")
            plt.close(figure)
        record.write_text(json.dumps({"text": text, "figure": figure is not None}), encoding="utf-8")
    found = json.loads(record.read_text(encoding="utf-8"))
    return (f"/_build/cache/{name}.png" if found["figure"] else None), found["text"]
