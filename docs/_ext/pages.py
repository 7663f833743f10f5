"""Sphinx extension: parts of pages that are computed, put into their Markdown before it is parsed.

    ```{derivation} both_quantized      every step of derive(model), with its checks; `steps=a|b` for some of them
    ```
    ```{check} landing                  one figure with measured text
    ```
    ```{specification} both_quantized   the Python that makes the model
    ```
    ```{notebooks}                      table of contents of the notebooks, as committed
    ```
    ```{explorer}                       the explorer, with its data inside the page
    ```
    ```{commands}                       every command of the program, from the program
    ```
    ```{grammar} types                  the types of specification files; or the class of a table, with its module
    ```
    ```{claims}                         the claims of docs/claims.json, one row each
    ```

Equations come from the SymPy objects through the derivation's own rendering; nothing is typed again.
"""

import json
import pathlib
import re
import shutil

PART = re.compile(
    r"^```\{(derivation|check|specification|notebooks|explorer|commands|grammar|claims)\}[ ]*([^\n]*)\n```[ ]*$",
    re.MULTILINE,
)
DOCS = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOKS = DOCS.parent / "notebooks"


def derivation(words: str) -> str:
    """All steps of a derivation, or those named after `steps=`, as Markdown with the checks between them."""
    import cases
    from kept import kept

    from steode import derive

    name, _, chosen = words.partition(" steps=")
    model, checks = cases.ALL[name], cases.CHECKS.get(name, {})
    titles = [title.strip() for title in chosen.split("|")] if chosen else None
    steps = derive(model).derivation
    unknown = {*(titles or ()), *checks} - {step.title for step in steps}
    if unknown:
        raise ValueError(f"derivation {name} has no step {unknown}")
    parts = []
    for number, step in enumerate(steps, start=1):
        if titles is None or step.title in titles:
            # pages have one title, so that steps are of second level there; each equation scrolls alone on a phone
            text = step.markdown(number).removeprefix("#")
            parts.append(text.replace(step.latex(), "\n$$\n\n$$\n".join(step.lines)))
            if step.title in checks:
                check, *arguments = checks[step.title]
                parts.append(_checked(*kept(check, model, *arguments), title=step.title))
    if steps.sources:
        parts.append(f"\n*{steps.sources}*\n")
    return "\n".join(parts)


def _checked(figure: str | None, text: str, title: str) -> str:
    image = f"![Check of the step {title}: theory against simulation]({figure})\n\n" if figure else ""
    return f"\n:::{{admonition}} Check: {title}\n:class: check\n\n{image}{text}\n:::\n"


def check(words: str) -> str:
    """A figure of the landing page, wide and for a phone, with its text as a caption."""
    import landing
    from kept import kept

    parts = []
    for name, shape in ((words.strip(), "wide"), (f"{words.strip()}_narrow", "narrow")):
        figure, text = kept(getattr(landing, name), suffix=".svg")
        options = f":alt: {landing.ALT}\n:class: landing\n:figclass: landing-{shape}"
        parts.append(f"```{{figure}} {figure}\n{options}\n\n{text}\n```")
    return "\n\n".join(parts)


def specification(words: str) -> str:
    """The model of a derivation page, as one would write it."""
    import cases

    return f"```python\nmodel = {_plain(repr(cases.MODELS[words.strip()]))}\nderive(model)\n```"


def _plain(text: str) -> str:
    """The repr of a model, one argument a line, without those that are defaults."""
    inner = text.removeprefix("LinearModel(").removesuffix(")")
    arguments, depth, start = [], 0, 0
    for place, letter in enumerate(inner):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            arguments.append(inner[start:place].strip())
            start = place + 1
    arguments.append(inner[start:].strip())
    defaults = {
        "weight_quantizer=Identity()", "input_quantizer=Identity()", "surrogate=IdentitySurrogate()",
        "init=Normal(mean=0.0, std=1.0)", "noise=0.0", "batch_size=1", "weight_decay=0.0",
    }  # fmt: skip
    kept = [argument for argument in arguments if argument not in defaults]
    return "LinearModel(\n" + "".join(f"    {argument},\n" for argument in kept) + ")"


def notebooks(words: str) -> str:
    """Notebooks by name, or a sentence where there are none yet."""
    found = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    if not found:
        return "They are in the folder `notebooks` of the source."
    return "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(f"notebooks/{name}" for name in found) + "\n```"


def explorer(words: str) -> str:
    """The explorer's element and data: inside the page, because scripts opened as files may not read others."""
    data = json.loads((DOCS / "explorer_data.json").read_text(encoding="utf-8"))
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return (
        '````{raw} html\n<div id="explorer-app"><noscript>This page needs JavaScript; its numbers are in '
        "<code>docs/explorer_data.json</code>.</noscript></div>\n"
        f'<script type="application/json" id="explorer-data">{text}</script>\n'
        '<script src="_static/explorer.js" defer></script>\n````'
    )


def commands(words: str) -> str:
    """Every command of the program."""
    import grammar

    return grammar.commands()


def grammar_of(words: str) -> str:
    """What a table of a specification file may hold."""
    import grammar

    return grammar.grammar(words.strip())


def claims(words: str) -> str:
    """Claims with what was measured, by section."""
    found = json.loads((DOCS / "claims.json").read_text(encoding="utf-8"))
    parts = []
    for section in dict.fromkeys(entry["section"] for entry in found["claims"]):
        parts.append(f"## {section}\n\n| claim | what came | verdict | command |\n| --- | --- | --- | --- |")
        for entry in found["claims"]:
            if entry["section"] == section:
                cells = (entry["claim"], entry["found"], f"**{entry['verdict']}**", f"`{entry['command']}`")
                parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        parts.append("")
    return "\n".join(parts)


PARTS = {
    "commands": commands,
    "grammar": grammar_of,
    "claims": claims,
    "derivation": derivation,
    "check": check,
    "specification": specification,
    "notebooks": notebooks,
    "explorer": explorer,
}


def fill(app, docname: str, source: list[str]) -> None:
    """Replace every computed part of a page."""
    source[0] = PART.sub(lambda match: PARTS[match[1]](match[2]), source[0])


def copy_notebooks(app) -> None:
    """Notebooks lie outside the docs; Sphinx reads copies, made anew where they changed."""
    target = DOCS / "notebooks"
    target.mkdir(exist_ok=True)
    wanted = {path.name: path for path in NOTEBOOKS.glob("*.ipynb")}
    for stale in {path.name for path in target.glob("*.ipynb")} - wanted.keys():
        (target / stale).unlink()
    for name, path in wanted.items():
        copy = target / name
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            shutil.copyfile(path, copy)


def computed_pages(app, env, added, changed, removed) -> list[str]:
    """Pages with computed parts are read in every build: what they are made of is not among their files."""
    found = []
    for docname in env.found_docs:
        path = pathlib.Path(env.doc2path(docname))
        if path.suffix == ".md" and PART.search(path.read_text(encoding="utf-8")):
            found.append(docname)
    return found


def setup(app):
    app.connect("builder-inited", copy_notebooks)
    app.connect("source-read", fill)
    app.connect("env-get-outdated", computed_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
