"""``hwsim sweep``: many points of a design space, and the ones that nothing beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hwsim.cli.common import console, emit_json, facts, json_option, plain, progress, table, writable_folder

if TYPE_CHECKING:
    from hwsim.sweep import Row, SweepResult


@click.command(
    "sweep",
    short_help="Design-space runs.",
    epilog="Examples: hwsim sweep spec.yaml --out result; "
    "hwsim sweep cheapest-int4-array --set space.model=resnet8; hwsim sweep --list",
)
@click.argument("spec", required=False)
@click.option("--list", "listed", is_flag=True, help="List the shipped specs and the metrics.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a key of the spec; repeatable.")
@click.option("--out", metavar="DIR", help="Folder of the results; default: NAME-sweep.")
@click.option(
    "--engine",
    type=click.Choice(["joblib", "dask"]),
    default="joblib",
    show_default=True,
    help="Processes here, or a cluster.",
)
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processes here; default: one a core.")
@click.option("--scheduler", metavar="ADDRESS", help="Of the dask cluster: tcp://HOST:PORT, or its scheduler file.")
@click.option("--fresh", is_flag=True, help="Forget what the folder holds, instead of going on from there.")
@click.option("--retry-failed", is_flag=True, help="Compute the points again that failed before.")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Print so many of the best.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    spec: str | None,
    listed: bool,
    changes: tuple[str, ...],
    out: str | None,
    engine: str,
    jobs: int | None,
    scheduler: str | None,
    fresh: bool,
    retry_failed: bool,
    top: int,
    as_json: bool,
) -> None:
    """Try the points of SPEC: a .yaml file, or the name of a shipped spec.

    Each result is kept as it comes. A sweep that was stopped, by Ctrl-C or by a crash, goes on where it was when the
    same command is typed again.
    """
    from pathlib import Path

    from hwsim.sweep import load_spec, sweep
    from hwsim.sweep.page import write_page

    if listed:
        _list(as_json)
        return
    if spec is None:
        raise click.UsageError("expected a SPEC, or --list")
    if (engine == "dask") != (scheduler is not None):
        raise click.UsageError("--engine dask and --scheduler ADDRESS go together")
    if scheduler is not None and jobs is not None:
        raise click.UsageError("--jobs is for processes here; a cluster has its own workers")
    plan = load_spec(spec, changes)
    folder = writable_folder(Path(out or f"{plan.name}-sweep"))
    with progress() as show:
        found = sweep(
            plan, folder, jobs=jobs, scheduler=scheduler, fresh=fresh, retry_failed=retry_failed, progress=show
        )
    write_page(found, folder / "report.html", str(ctx.obj))
    if as_json:
        click.echo(found.to_json(), nl=False)
        return
    _show(found, top)
    click.echo(f"\n{folder / 'results.json'}\n{folder / 'results.csv'}\n{folder / 'report.html'}")


def _list(as_json: bool) -> None:
    from hwsim.sweep import METRICS, load_spec, presets

    specs = {name: load_spec(name) for name in presets()}
    if as_json:
        emit_json(
            "hwsim.sweep.presets/1",
            {
                "presets": [{"name": name, "description": spec.description} for name, spec in specs.items()],
                "metrics": [
                    {"name": m.name, "unit": m.unit, "better": m.better, "needs": m.needs, "text": m.text}
                    for m in METRICS.values()
                ],
            },
        )
        return
    click.echo("Shipped specs (hwsim sweep NAME; --set changes them)\n")
    click.echo(facts([(name, spec.description) for name, spec in specs.items()]))
    click.echo("\nMetrics, for objectives and constraints\n")
    rows = [(m.name, m.unit, m.better, m.needs, m.text) for m in METRICS.values()]
    click.echo(table(("metric", "unit", "better", "needs", "what it is"), rows))


def _show(found: SweepResult, top: int) -> None:
    from rich import box
    from rich.table import Table

    from hwsim.sweep.page import choice_text, gauges

    best, shown = found.best, gauges()
    feasible = sum(row.feasible for row in found.rows)
    click.echo(
        f"{found.name}: {len(found.rows)} points, {feasible} meet every constraint, {len(found.failed)} failed; "
        f"nothing beats {len(best)} of them"
    )
    for row in found.failed[:3]:
        click.echo(f"  failed: {_point(row)}: {row.error}")
    if not best:
        click.echo("  no point meets every constraint" if found.rows else "  no points")
        return
    dimensions = [name for name in best[0].point if len({str(row.point.get(name)) for row in found.rows}) > 1]
    metrics = list(best[0].values or {})
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in dimensions:
        short = name.rpartition(".")[2]
        alone = sum(other.rpartition(".")[2] == short for other in dimensions) == 1
        grid.add_column(short if alone else name, overflow="fold")
    for name in metrics:
        grid.add_column(name, justify="right", no_wrap=True)
    for row in best[:top]:
        values = row.values or {}
        grid.add_row(
            *(plain(choice_text(name, row.point.get(name, ""))) for name in dimensions),
            *(plain(shown[name].show(values[name])) for name in metrics),
        )
    console().print(grid)
    if len(best) > top:
        click.echo(f"  and {len(best) - top} more in results.csv")


def _point(row: Row) -> str:
    from hwsim.sweep.page import choice_text

    return ", ".join(f"{name} {plain(choice_text(name, value))}" for name, value in row.point.items())
