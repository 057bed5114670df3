"""The command ``hwsim``: finds the verb, and turns every error into one line and an exit status."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from hwsim.errors import HwsimError, nearest

OK, NO, BAD_INPUT, TOOL_MISSING, BUG, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 3, 70, 130, 141
"""Exit statuses; ``BUG`` is sysexits' EX_SOFTWARE, the last two are 128 + the signal."""

VERBS = {
    "emulate": "Run a network on chips, bit for bit, and compare answers, speed and energy.",
    "verify": "Prove Verilog against the golden model in a simulator.",
    "rtl": "Prove our Verilog for every input, mutate it, price it: area, energy, FPGA.",
    "report": "Make an HTML report from results that were written before.",
    "estimate": "Time and energy of a network or of one matrix product, without running it.",
    "quantize": "Quantize a network for a chip and write it as .qir.",
    "train": "Teach a network the low bits of a chip, as a recipe says; torch needed.",
    "robust": "Attack a network on chips, blur and darken its inputs, flip its bits.",
    "convert": "Store a quantized network as another chip does, and say what it loses.",
    "sweep": "Try many designs, targets, models or formats, and keep what nothing beats.",
    "formats": "List number formats, or show one: its codes, number line, specials and source.",
    "units": "List matrix units, or show one: what it sums, how, and how we know.",
    "targets": "List chips, or show one: its numbers, their evidence and sources.",
    "zoo": "List named networks, show one, or fetch one with its data.",
}


class Verbs(click.Group):
    """A group that imports a verb's file only when that verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"hwsim.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            close = nearest(args[0], VERBS)
            hint = f"did you mean {close!r}?" if close else f"one of: {', '.join(VERBS)}"
            raise click.UsageError(f"unknown verb {args[0]!r} ({hint})")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from hwsim import __version__

        click.echo(f"hwsim {__version__}")
        ctx.exit()


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit status: 0 done; 1 done, and the answer is no (a mismatch); 2 bad input; 3 a tool is missing or "
    "failed; 70 a bug in hwsim; 130 interrupted. Each verb takes --json for machines; progress goes to stderr.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def group() -> None:
    """What a low-bit chip will do to your network: answers, speed and energy, bit for bit.

    \b
    Example: hwsim emulate mnist-cnn --target nvidia-h100 --target hwsim-int4-ws16 --out reports/demo
    """


def run(args: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status. Never raises for what a user can cause."""
    arguments = list(sys.argv[1:] if args is None else args)
    try:
        try:
            with group.make_context("hwsim", arguments[:], obj=_typed(arguments)) as ctx:
                group.invoke(ctx)
            return OK
        except click.exceptions.Exit as leave:
            return int(leave.exit_code)
        finally:
            sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else str(error), err=True)
        return BAD_INPUT
    except click.ClickException as error:
        return _say(_one_line(error), BAD_INPUT)
    except HwsimError as error:
        return _say(str(error), error.exit_status)
    except (KeyboardInterrupt, click.Abort):
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        return _pipe_closed()
    except OSError as error:
        if error.errno == errno.EPIPE:
            return _pipe_closed()
        return _bug(error) if error.strerror is None else _say(_os_line(error), BAD_INPUT)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "hwsim":
            return _bug(error)
        return _say(f"the package {error.name} is missing (pip install {error.name})", TOOL_MISSING)
    except MemoryError:
        return _say("out of memory; try a smaller --limit or --batch", BAD_INPUT)
    except Exception as error:
        return _bug(error)


def main() -> None:
    """Entry point of the command ``hwsim``."""
    if os.environ.get("_HWSIM_COMPLETE"):
        group.main(prog_name="hwsim")  # the shell asks for completions
    status = run()
    if status == INTERRUPTED:
        # Python may otherwise end itself by the signal, when the interrupt passed through an exec'd string.
        sys.stderr.flush()
        os._exit(status)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said and written; Python would end itself without a word
    sys.exit(status)


def _typed(arguments: Sequence[str]) -> str:
    """The command as typed; a report says how to make it again."""
    import shlex

    return shlex.join(["hwsim", *arguments])


def _say(line: str, status: int) -> int:
    click.echo(f"hwsim: error: {' '.join(line.split())}", err=True)
    return status


def _bug(error: Exception) -> int:
    if os.environ.get("HWSIM_DEBUG"):
        import traceback

        traceback.print_exception(error)
    name = type(error).__name__
    return _say(f"internal error, {name}: {error} (a bug; HWSIM_DEBUG=1 shows where, please report it)", BUG)


def _one_line(error: click.ClickException) -> str:
    """click's message, with the verb whose --help has the rest."""
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else "hwsim"
    return f"{error.format_message().rstrip('.')} (see: {path} --help)"


def _os_line(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)


def _pipe_closed() -> int:
    # The reader has gone (a pager, head); nothing more can be said, also not when Python flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_CLOSED
