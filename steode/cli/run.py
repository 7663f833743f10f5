"""steode run: everything about a specification, whatever its system, into a folder."""

import importlib
import pathlib
from typing import Annotated

import typer

from steode.cli.options import AllowOutside, Dim, End, Key, Method, Seeds, Set, Spec, Times, Tolerance, all_changes
from steode.errors import SpecificationError

SYSTEMS = {
    "linear": "linear",
    "fogzo": "fogzo",
    "regression": "regression",
    "layer": "layer",
    "binary_relu": "binary_relu",
    "classification": "classification",
    "committee": "committee",
    "cooccurrence": "gradient_flows",
    "diagonal_network": "gradient_flows",
    "sparse_regression": "gradient_flows",
    "univariate_relu": "gradient_flows",
    "matrix_completion": "gradient_flows",
}
"""What `system` in a file may be -> module of steode.cli with `run_file(path, changes, out, allow_outside)`."""


def run(
    spec: Spec = None,
    out: Annotated[pathlib.Path, typer.Option(help="Folder of results.")] = pathlib.Path("results"),
    dim: Dim = None,
    seeds: Seeds = None,
    key: Key = None,
    t_end: End = None,
    steps: Annotated[int | None, typer.Option(help="SGD steps, of systems that count them.")] = None,
    times: Times = None,
    method: Method = None,
    tolerance: Tolerance = None,
    entries: Set = (),
    allow_outside: AllowOutside = False,
):
    """Do everything about one specification: figures, data, numbers.

    The entry `system` of the file says what it describes; other entries and options are those of its [run] table.

    \b
    system = "linear"            or none: derive, solve, simulate, compare; a report.html
    system = "fogzo"             the linear system with FOGZO beside the straight-through estimator, at equal passes
    system = "regression"        linear regression with five quantizers: exact risk, stability, bounds, runs
    system = "layer"             a layer's own weights and inputs: advice, rounding, late training; an index.html
    system = "binary_relu"       coarse gradients of a binarized ReLU: stationary points, flow, descent, training
    system = "classification"    coarse gradients of several classes: training, success and time to it
    system = "committee"         several hidden units with quantized weights: limit, runs, comparison
    system = "diagonal_network"  a gradient flow, as are "cooccurrence", "sparse_regression", "univariate_relu" and
                                 "matrix_completion": the headline claim in numbers, and a figure

    Without a file: the reference model and the plateau example. Files of an earlier run in the same folder are
    replaced, other files are left alone. Everything is written as soon as it is computed.

    \b
    Examples
        steode run
        steode run my_model.toml --out my_results --seeds 16
        steode run --dim 500 --t-end 20 --set learning_rate=0.2
        steode run examples/classification.toml --set 'vary.values=["relu", "1/(1 + x**2)"]'
    """
    from steode.parts.configuration import load_toml
    from steode.parts.spelling import nearest

    settings = {"dim": dim, "seeds": seeds, "key": key, "t_end": t_end, "times": times, "method": method}
    changes = all_changes(entries, settings | {"tolerance": tolerance, "steps": steps})
    system = "linear" if spec is None else load_toml(spec).get("system", "linear")
    if not isinstance(system, str) or system not in SYSTEMS:
        near = nearest(str(system), SYSTEMS)
        remedy = f"Did you mean {near!r}?" if near else 'A file without it is of the system "linear".'
        raise SpecificationError("system", "one of " + ", ".join(SYSTEMS), system, remedy)
    # figures need matplotlib, which the other commands do without
    importlib.import_module(f"steode.cli.{SYSTEMS[system]}").run_file(spec, changes, out, allow_outside)
