"""steode coarse: systems trained by coarse gradients, with a surrogate in place of a derivative that vanishes."""

import importlib
import pathlib
from typing import Annotated

import typer

from steode.cli.options import Set, all_changes
from steode.configuration import load_toml
from steode.errors import SpecificationError

app = typer.Typer(
    help="Systems trained by coarse gradients: a surrogate in place of a derivative that vanishes.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

SpecFile = Annotated[pathlib.Path, typer.Argument(metavar="SPEC.toml", show_default=False, help="Specification file.")]
Folder = Annotated[pathlib.Path, typer.Option(help="Folder of figures and data.")]

SYSTEMS = {
    "binary_relu": ("steode.cli.coarse_binary_relu", "run_binary_relu"),
    "classification": ("steode.cli.coarse_classification", "run_classification"),
}
"""What `system` in a file may be -> module and function(path, changes, out)."""


@app.callback()
def _group():
    """Keeps `run` a command of its own, although there is no other yet."""


@app.command()
def run(spec: SpecFile, out: Folder = pathlib.Path("results"), entries: Set = ()):
    """Everything about one system, which the entry `system` of the file names.

    \b
    system = "binary_relu"       two linear layers with a binarized ReLU: stationary points, the flow, descent on the
                                 population, training on samples, and their agreement
    system = "classification"    several classes and a quantized ReLU: training, success and time to it

    Writes figures, .nc files and summary.json; what belongs to a finished case is written before the next one begins.

    \b
    Examples
        steode coarse run examples/binary_relu.toml --out results/binary_relu
        steode coarse run my.toml --set step=0.02 --set run.seeds=16 --set 'vary.values=["relu", "1/(1 + x**2)"]'
    """
    table = load_toml(spec)
    system = table.get("system")
    if not isinstance(system, str) or system not in SYSTEMS:
        remedy = 'Let the file begin with a line such as system = "binary_relu".'
        raise SpecificationError("system", "one of " + ", ".join(SYSTEMS), system, remedy)
    changes = all_changes(entries, {})
    module, name = SYSTEMS[system]
    getattr(importlib.import_module(module), name)(spec, changes, out)
