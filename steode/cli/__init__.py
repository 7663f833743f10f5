"""The command `steode`: every verb from a terminal."""

import contextlib
import os
import sys
import warnings
from typing import Annotated

import typer
from typer.core import TyperGroup

from steode._version import __version__
from steode.cli import verbs
from steode.cli.fixed_points import fixed_points
from steode.cli.progress import shown
from steode.cli.run import run
from steode.cli.sweep import sweep
from steode.errors import SteodeError, WriteError

__all__ = ["app", "main"]

HELP = """What the straight-through estimator does in high dimension: derived, solved, simulated, compared.

As the input dimension grows, quantized training follows a deterministic limit. These commands derive its equations from
a specification, solve them, run the training itself, and compare the two.

\b
Start with
    steode run               reference model and plateau example, in about a minute; then open results/report.html
    steode derive            the equations of the reference model, step by step
    steode fixed-points --set learning_rate=0.5
    steode sweep --figure phase_diagram.png
    steode run SPEC.toml     any system: linear, regression, coarse gradients, gradient flows (see steode run --help)
    steode COMMAND --help    what a command takes, with examples

\b
A specification is a TOML file:
    [model]
    learning_rate = 0.1
    weight_quantizer = {type = "Uniform", bits = 2, range = 2.0}
    input_quantizer = {type = "Uniform", bits = 2, range = 2.0}
    teacher = {type = "Constant", value = 1.0}
    init = {type = "Normal", std = 1.0}
    [vary]                            # optional: one case for each value
    parameter = "weight_quantizer.range"
    values = [2.0, 3.0]
    [run]                             # optional
    t_end = 100.0
    dim = 1000
    seeds = 8
    [sweep]                           # optional, for steode sweep
    measure = "fixed_point"
    [sweep.axes]
    learning_rate = [0.05, 0.1, 0.2]
Without a file a command uses the reference model, which is the one above without [vary].
"""


class Commands(TyperGroup):
    """The commands; an interruption from the keyboard ends each with one line and status 130."""

    def make_context(self, *arguments, **options):
        with _one_line():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx):
        with _one_line():
            return super().invoke(ctx)


@contextlib.contextmanager
def _one_line():
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("steode: interrupted; files that were written are whole", err=True)
        raise typer.Exit(130) from None


app = typer.Typer(
    cls=Commands,
    help=HELP,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(verbs.derive)
app.command()(verbs.solve)
app.command()(verbs.simulate)
app.command("fixed-points")(fixed_points)
app.command()(verbs.plateau)
app.command()(sweep)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False):
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run the command with `arguments`, or those of the process.

    Raises `SystemExit`, after one message on standard error: 2 for anything steode refuses, 1 for what could not be
    written or had no room in memory, 130 after an interruption.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                with shown():
                    app(arguments, prog_name="steode")
            finally:
                sys.stdout.flush()
    except WriteError as error:
        _stop(error, 1)
    except SteodeError as error:
        _stop(error, 2)
    except MemoryError as error:
        _stop(f"there is not enough memory ({str(error) or 'none was left'})", 1)
    except OSError as error:
        if error.filename is None:
            # what is left in the buffer cannot be written either, and must not be tried at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())
        _stop(f"{error.filename or 'standard output'}: {error.strerror or error}", 1)


def _stop(message: object, status: int) -> None:
    typer.echo(f"steode: {message}", err=True)
    sys.exit(status)


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    typer.echo(f"steode: {message}", err=True)
