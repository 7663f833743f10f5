"""From a study to a folder of results: derive, solve, simulate, compare, and show it on one page that needs no network."""

from steode.report.page import write_page
from steode.report.folder import ResultsFolder
from steode.report.results import CaseResult, StudyResult, run_study
from steode.report.study import Case, RunSettings, Study, built_in_studies, read_study
from steode.report.summary import summarize, table

__all__ = [
    "Case",
    "CaseResult",
    "ResultsFolder",
    "RunSettings",
    "Study",
    "StudyResult",
    "built_in_studies",
    "read_study",
    "run_study",
    "summarize",
    "table",
    "write_page",
]
