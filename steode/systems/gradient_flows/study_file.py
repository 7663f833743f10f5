"""Studies of the five systems from TOML files.

system = "diagonal_network"     # or cooccurrence, sparse_regression, univariate_relu, matrix_completion
[model]                         # arguments of the specification
depth = 2
[run]                           # see StudySettings
scales = [0.1, 1.0, 10.0]
"""

import pathlib

from steode.errors import SpecificationError, check_path
from steode.parts.study_file import Study, check_known, fields_of, run_settings, study_table, titles
from steode.systems.gradient_flows import spec
from steode.systems.gradient_flows.studies import StudySettings

SYSTEMS = {
    "cooccurrence": spec.CooccurrenceModel,
    "diagonal_network": spec.DiagonalModel,
    "sparse_regression": spec.SparseModel,
    "univariate_relu": spec.UnivariateModel,
    "matrix_completion": spec.CompletionModel,
}
"""What `system` in a file may be."""
TABLES = ("system", "title", "description", "model", "run")


def read_study(path: str | pathlib.Path, changes: dict | None = None) -> Study:
    """The study that the TOML file at `path` describes; `changes` maps dotted keys such as "model.depth" to values.

    Raises `SpecificationError` for anything that does not make sense.
    """
    path = check_path("path", path)
    # the table of a system that is not known yet may hold what any of them holds
    fields = {field: None for kind in SYSTEMS.values() for field in fields_of(kind)}
    table = study_table(path, changes, TABLES, {"model": fields, "run": fields_of(StudySettings)})
    name = table.get("system")
    if name not in SYSTEMS:
        raise SpecificationError("system", "one of " + ", ".join(SYSTEMS), name, 'For example "diagonal_network".')
    kind, given = SYSTEMS[name], table.get("model", {})
    if not isinstance(given, dict):
        raise SpecificationError("model", "a table", given, f"Arguments of {kind.__name__}.")
    keys = {"model": fields_of(kind), "run": fields_of(StudySettings)}
    check_known("model.", given, keys["model"], keys)
    settings = run_settings(StudySettings, table.get("run", {}), keys)
    return Study(*titles(table, path.stem), {"": kind(**given)}, settings)
