"""The commands of `wengert`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from wengert.cli.doctor import find_trouble, report_lines
from wengert.cli.target import Target, load_target
from wengert.errors import ArgumentError, WengertError

if TYPE_CHECKING:
    from wengert.train.fit import FitResult

__all__ = ["app"]

app = typer.Typer(
    help="Differentiate plain Python programs, and fit their parameters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

INTERRUPTED = 130


@app.command()
def fit(
    target: Annotated[str, typer.Argument(metavar="MODULE_OR_FILE:LOSS", help="The loss, as in model.py:loss.")],
    params: Annotated[str, typer.Option(help="Name of the object that holds the starting values.")] = "params",
    args: Annotated[str, typer.Option(help="Name of a tuple of further arguments of the loss.")] = "",
    method: Annotated[str, typer.Option(help="lbfgs or adam.")] = "lbfgs",
    steps: Annotated[int, typer.Option(help="The largest number of steps.")] = 1000,
    tol: Annotated[float, typer.Option(help="Relative size of the gradient at which the fit has converged.")] = 1e-8,
    learning_rate: Annotated[float, typer.Option(help="Relative size of a step of adam.")] = 0.01,
    bounds: Annotated[
        list[str] | None, typer.Option(help="NAME=LOW:HIGH, either end may be left open. May be repeated.")
    ] = None,
    fix: Annotated[list[str] | None, typer.Option(help="Parameter that keeps its value. May be repeated.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for params.json, history.csv, report.md, fit.png.")] = None,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
) -> None:
    """Minimise LOSS over the parameters that its module names.

    LOSS is a function `loss(params, ...)`. Arguments after the first that have no default are taken from objects of the
    same name in the module, or from the tuple that --args names.
    """
    from wengert.train.fit import fit as run_fit
    from wengert.train.packing import parse_bounds

    try:
        loaded = load_target(target, params, args)
        limits = dict(parse_bounds(text) for text in bounds or [])
        result = run_fit(
            loaded.loss,
            loaded.params,
            *loaded.args,
            method=method,
            steps=steps,
            tol=tol,
            learning_rate=learning_rate,
            bounds=limits,
            fix=fix or [],
            out=out,
            progress=progress,
        )
    except WengertError as error:
        _fail(error)
    _show(result, loaded, fix or [], out)
    if result.stopped_by == "interrupt":
        raise typer.Exit(INTERRUPTED)


@app.command()
def doctor() -> None:
    """Print versions and check that everything wengert stands on can be imported."""
    for line in report_lines():
        typer.echo(line)
    trouble = find_trouble()
    for line in trouble:
        typer.echo(f"error: {line}", err=True)
    if trouble:
        raise typer.Exit(1)


@app.command()
def cache(clear: Annotated[bool, typer.Option("--clear", help="Drop all of it.")] = False) -> None:
    """Show, or drop, the native code that is kept on disk."""
    from wengert.codegen.store import Store, folder

    place = folder()
    if place is None:
        typer.echo("this platform has no folder for native code; name one by WENGERT_CACHE_DIR")
        raise typer.Exit(1)
    kept = Store(place)
    if clear:
        typer.echo(f"dropped {kept.clear()} programs from {place}")
        return
    try:
        found = kept.contents()
    except WengertError as error:
        _fail(error)
    typer.echo(f"folder:   {found.folder}")
    typer.echo(f"programs: {found.entries}, {found.size / 1e6:.1f} MB of at most {found.limit / 1e6:.0f} MB")
    if found.trouble:
        typer.echo(f"not used: {found.trouble}")


def _fail(error: WengertError) -> NoReturn:
    """Print an error and leave: code 2 for a mistake in the command, 1 for a fit that cannot go on."""
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(2 if isinstance(error, ArgumentError) else 1)


def _show(result: FitResult, loaded: Target, fix: list[str], out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from wengert.train.packing import pack
    from wengert.train.report import parameter_rows

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 100)
    table = Table(box=None, pad_edge=False)
    for heading, justify in (("parameter", "left"), ("start", "right"), ("end", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for row in parameter_rows(pack(loaded.params, fix), result.params):
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    console.print(_summary(result))
    if out is not None:
        written = [p.name for p in sorted(out.iterdir()) if p.name in OUTPUTS]
        console.print(f"wrote {', '.join(written)} to {out}")


OUTPUTS = ("params.json", "history.csv", "report.md", "fit.png")


def _summary(result: Any) -> str:
    state = "converged" if result.converged else "not converged"
    return (
        f"loss {result.loss:.12g}, gradient norm {result.grad_norm:.2e}, {result.steps} steps\n"
        f"{state}: {result.message}"
    )
