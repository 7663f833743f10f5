"""report.html: one page that holds its figures and equations and needs no network."""

import base64
import html
import pathlib

from steode._version import __version__
from steode.studies.report import documents, equations
from steode.studies.report.figures import Entry
from steode.studies.report.folder import ResultsFolder
from steode.studies.report.results import CaseResult, StudyResult
from steode.studies.report.study import nearest
from steode.studies.report.summary import ACCEPTED_Z, remarks

INTRODUCTION = """
Each study below starts from a specification. Its limit as the input dimension grows is derived step by step, solved,
and compared with training runs of finite dimension, which use nothing of the limit. The gap between the two is given in
standard errors: z is the number with the Gaussian tail probability of the gap, so |z| > 4 would be a disagreement.
"""


def write_page(
    results: list[StudyResult], figures: dict[str, list[Entry]], folder: ResultsFolder, complete: bool
) -> pathlib.Path:
    """Write report.html for the results so far; `figures` holds each study's by its name, already in `folder`."""
    state = "" if complete else "<p class=bad>Not finished: what follows is what was computed so far.</p>"
    studies = "\n".join(
        _study(result, figures[result.study.name], folder, open_derivation=result is results[0]) for result in results
    )
    body = f"""<h1>What the straight-through estimator does: limit and simulation</h1>
{state}<p>{INTRODUCTION}</p>
{_overview(results)}
{studies}
<footer>steode {__version__}. Numbers: summary.json. Data (netCDF), figures (PNG, SVG) and derivations (Markdown, LaTeX)
lie in the folder of each study.</footer>"""
    return folder.text("report.html", documents.web_page("steode: limit and simulation", body))


def _overview(results: list[StudyResult]) -> str:
    rows = []
    for result in results:
        for case in result.cases:
            z = case.comparison.largest_z
            bad = "" if z < ACCEPTED_Z else " class=bad"
            name = result.study.name + (f", {case.case.label}" if case.case.label else "")
            settings = result.study.settings
            rows.append(
                f""
                f"<tr><td>{html.escape(name)}</td><td>{settings.dim}</td><td>{settings.seeds}</td><td>{case.comparison.theory[-1]:.5f}</td><td>{case.comparison.simulation[-1]:.5f}</td><td{bad}>{z:.2f}</td></tr>"
            )
    head = "<tr><th>case<th>dimension<th>seeds<th>final error, limit<th>simulation<th>largest |z|</tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _study(result: StudyResult, figures: list[Entry], folder: ResultsFolder, open_derivation: bool) -> str:
    study = result.study
    shown = "\n".join(embedded_figure(*entry[:2], folder) for entry in figures)
    cases = "\n".join(_case(result, case) for case in result.cases)
    first = result.cases[0]
    steps = equations.derivation(first.limit.derivation)
    unfold = " open" if open_derivation else ""
    return f"""<section><h2>{html.escape(study.title)}</h2>
<p>{html.escape(study.description)}</p>
{shown}
{cases}
<details><summary>Specification</summary><pre>{html.escape(_specification(result))}</pre></details>
<details{unfold}><summary>Derivation of the limit, {len(first.limit.derivation)} steps</summary>
{steps}</details></section>"""


def embedded_figure(name: str, caption: str, folder: ResultsFolder) -> str:
    """The figure that `folder` holds as name.svg, in the page itself."""
    data = base64.b64encode(folder.place(f"{name}.svg").read_bytes()).decode()
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/svg+xml;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _case(result: StudyResult, case: CaseResult) -> str:
    compared = case.comparison
    rows = "".join(
        f""
        f"<tr><td>{compared.times[index]:g}</td><td>{compared.theory[index]:.5f}</td><td>{compared.simulation[index]:.5f}</td><td>{compared.gap[index]:.5f}</td><td>{compared.standard_error[index]:.5f}</td><td>{compared.z[index]:.2f}</td></tr>"
        for index in nearest(compared.times, result.study.settings.table_times)
    )
    caption = html.escape(case.case.label or "generalization error")
    head = "<tr><th>rescaled time<th>limit<th>simulation<th>gap<th>standard error<th>z</tr>"
    found = "".join(f"<li>{html.escape(line)}</li>" for line in (*remarks(case), *case.notes))
    return f"<table><caption>{caption}</caption>{head}{rows}</table><ul>{found}</ul>"


def _specification(result: StudyResult) -> str:
    lines = []
    for case in result.cases:
        if case.case.label:
            lines.append(f"# {case.case.label}")
        lines += [f"{name} = {_short(value)}" for name, value in case.theory.provenance.specification.items()]
    return "\n".join(lines)


def _short(value, limit: int = 200) -> str:
    text = str(value)
    return text if len(text) <= limit else text[:limit] + " ..."
