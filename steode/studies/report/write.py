"""All studies into one folder, figures, numbers and page kept up to date after every case."""

import pathlib
import time
from collections.abc import Callable, Iterable

from steode.errors import SpecificationError
from steode.studies.report.figures import figures
from steode.studies.report.folder import ResultsFolder
from steode.studies.report.page import write_page
from steode.studies.report.results import StudyResult, run_study
from steode.studies.report.study import Study
from steode.studies.report.summary import summarize


def write_report(studies: Iterable[Study], out: pathlib.Path, say: Callable[[str], None]) -> list[StudyResult]:
    """Carry out studies; write figures (PNG, SVG), data (netCDF), derivations, summary.json and report.html to `out`.

    Data and derivations are written as soon as they exist, figures and page after each study, and whatever stops the
    work, with what is finished by then; the page says if that is not all. Every file appears whole or not at all. `say`
    is told what is being done and how long it has taken so far.

    Raises
    ------
    SpecificationError
        If two studies have one name, a study has a single seed, from which no standard error follows, or `out` cannot
        be made a folder.
    WriteError
        If the disk was full or `out` went away; the rest was written to a temporary folder, which it names.
    SteodeError
        From the verbs, for example if a tolerance cannot be reached.
    """
    studies = list(studies)
    _check(studies)
    folder = ResultsFolder(out, say=say)
    begin = time.perf_counter()
    finished: dict[str, StudyResult] = {}
    drawn: dict[str, list] = {}
    try:
        for study in studies:
            for result in run_study(study, folder, lambda text: say(f"{time.perf_counter() - begin:6.1f} s  {text}")):
                finished[study.name] = result
            _publish(finished, drawn, folder, complete=study is studies[-1])
    except BaseException:
        _publish(finished, drawn, folder, complete=False)
        raise
    folder.close()
    return list(finished.values())


def _publish(finished: dict[str, StudyResult], drawn: dict[str, list], folder: ResultsFolder, complete: bool) -> None:
    """Draw the figures of the latest study, then write summary and page of all."""
    for name in set(finished) - set(drawn):
        drawn[name] = list(figures(finished[name]))
        for file_name, _, figure in drawn[name]:
            folder.figure(file_name, figure)
    results = list(finished.values())
    folder.json("summary.json", summarize(results, complete))
    write_page(results, drawn, folder, complete)


def _check(studies: list[Study]) -> None:
    names = [study.name for study in studies]
    if len(set(names)) < len(names):
        raise SpecificationError("studies", "different names", names, "Rename one of the files.")
    for study in studies:
        if study.settings.seeds < 2:
            remedy = "A standard error needs the spread over runs."
            raise SpecificationError("run.seeds", "an integer >= 2", study.settings.seeds, remedy)
