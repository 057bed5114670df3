"""``hwsim verify``: Verilog in a simulator against the golden model, values and cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hwsim.cli.common import emit_json, json_option, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwsim.verify import CheckRow, VerifyReport


@click.command(
    "verify",
    short_help="Verilog against the golden model.",
    epilog="Examples: hwsim verify --unit mul_int4 --source my_mul.v --ports my_mul.yaml; hwsim verify --unit "
    "nvidia.hopper.wgmma.e4m3 --sim verilator --vectors cases.npz; hwsim verify --network mnist-cnn --layer conv2",
)
@click.option("--unit", metavar="U", help="Matrix unit or module; default: hwsim.rtl.int4. --list shows all.")
@click.option("--list", "listed", is_flag=True, help="List every unit and module that can be proven.")
@click.option("--all", "every", is_flag=True, help="Prove every unit that has Verilog.")
@click.option("--sim", default="icarus", show_default=True, metavar="S", help="Simulator: icarus or verilator.")
@click.option("--tiles", type=click.IntRange(min=1), default=200, show_default=True, help="Random tiles.")
@click.option("--rows", type=click.IntRange(min=1), help="Rows of the array; default: 16, or one block.")
@click.option("--cols", type=click.IntRange(min=1), default=16, show_default=True, help="Columns of the array.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random.")
@click.option("--check", "checks", multiple=True, metavar="C", help="Run only this check; repeatable.")
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="FILE.v",
    help="Your Verilog: its modules take the place of ours of the same name; repeatable.",
)
@click.option("--ports", metavar="MAP.yaml", help="Port map: where your module has other names, ports or a pipeline.")
@click.option("--vectors", metavar="FILE", help="Operands of your own (.npz or .csv), driven besides.")
@click.option("--network", metavar="MODEL", help="Run this network with layers on the simulated array instead.")
@click.option("--target", default="hwsim-int4-ws16", show_default=True, metavar="T", help="Array for --network.")
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="L",
    help="Layer for --network, a pattern (blk.0.*) or all; repeatable; default: the first.",
)
@click.option(
    "--data", metavar="D", help="Inputs for --network: .npz or a zoo name; default: the zoo model's test set."
)
@click.option("--images", type=click.IntRange(min=1), default=20, show_default=True, help="Inputs for --network.")
@json_option
def command(
    unit: str | None,
    listed: bool,
    every: bool,
    sim: str,
    tiles: int,
    rows: int | None,
    cols: int,
    seed: int,
    checks: tuple[str, ...],
    sources: tuple[str, ...],
    ports: str | None,
    vectors: str | None,
    network: str | None,
    target: str,
    layers: tuple[str, ...],
    data: str | None,
    images: int,
    as_json: bool,
) -> None:
    """Simulate a matrix unit's Verilog; compare every value with the golden model and every cycle count with the model.

    The exit status is 1 when anything differs; the first difference and a wave file are named.
    """
    if sum((unit is not None, every, network is not None)) > 1:
        raise click.UsageError("--unit, --all and --network exclude each other")
    if (layers or data) and network is None:
        raise click.UsageError("--layer and --data belong to --network")
    if (ports or vectors) and (every or network is not None):
        raise click.UsageError("--ports and --vectors belong to one --unit")
    if listed:
        from hwsim.verify import verifiable

        click.echo("\n".join(verifiable()))
        return
    if network is not None:
        reports = [_network(network, target, layers, data, images, sim, sources)]
    else:
        from hwsim.verify import RTL_UNITS, verify_rtl

        reports = [
            verify_rtl(
                name,
                sim=sim,
                tiles=tiles,
                rows=rows,
                cols=cols,
                seed=seed,
                checks=checks or None,
                sources=sources,
                ports=ports,
                vectors=vectors,
                on_check=_saying(name),
            )
            for name in (tuple(RTL_UNITS) if every else (unit or "hwsim.rtl.int4",))
        ]
    passed = all(report.passed for report in reports)
    if as_json:
        emit_json("hwsim.verify/1", {"passed": passed, "reports": [report.to_dict() for report in reports]})
    else:
        _print(reports, passed)
    if not passed:
        click.get_current_context().exit(1)


def _network(
    network: str,
    target: str,
    layers: tuple[str, ...],
    data: str | None,
    images: int,
    sim: str,
    sources: tuple[str, ...],
) -> VerifyReport:
    from hwsim.api import as_target, is_quantized, quantize
    from hwsim.io import load_data, load_model
    from hwsim.verify.network import verify_network

    chip, graph = as_target(target), load_model(network)
    inputs = load_data(data or graph.name).spread(images).inputs
    if not is_quantized(graph):
        graph = quantize(graph, chip, data)
    return verify_network(
        graph, chip, inputs, layers=layers or None, sim=sim, sources=sources, on_check=_saying(network)
    )


def _saying(name: str) -> Callable[[CheckRow], None]:
    """Progress on stderr, a line a check."""

    def say(row: CheckRow) -> None:
        click.echo(f"{name}: {row.check}: {'passed' if row.passed else 'FAILED'} ({row.seconds:.1f} s)", err=True)

    return say


def _print(reports: list[VerifyReport], passed: bool) -> None:
    header = ("unit", "check", "values", "differ", "times", "differ", "simulated cycles", "seconds", "")
    rows = [
        (
            row.unit,
            row.check,
            f"{row.compared:,}",
            f"{row.mismatches:,}",
            f"{row.cycles_compared:,}",
            f"{row.cycle_mismatches:,}",
            f"{row.simulated_cycles:,}",
            f"{row.seconds:.1f}",
            "passed" if row.passed else "FAILED",
        )
        for report in reports
        for row in report.rows
    ]
    click.echo(table(header, rows, right=range(2, 8)))
    for report in reports:
        for row in report.rows:
            if row.first_mismatch:
                click.echo(f"first difference: {row.unit} {row.check}: {row.first_mismatch}")
            if row.wave_file:
                click.echo(f"waves: {row.wave_file}")
        if report.coverage:
            missed = [f"{p.name} ({p.hits:,} of {p.of:,})" for p in report.coverage if not p.reached]
            reached = len(report.coverage) - len(missed)
            click.echo(
                f"coverage: {report.unit}: {reached} of {len(report.coverage)} points"
                + (f"; not reached: {', '.join(missed)}" if missed else "")
            )
    first = reports[0]
    shape = f"{first.array_rows} x {first.array_cols} array, " if first.array_rows else ""
    click.echo(
        f"{shape}{first.simulator}, seed {first.seed}: " + ("everything agrees" if passed else "THERE ARE DIFFERENCES")
    )
