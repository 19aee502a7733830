"""Runs a command; every error on purpose becomes a message and an exit code here."""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated, NoReturn

import typer

# Importing a command's file adds it; --help lists them in this order.
from slo.cli import init, explain, check, rules, status, report, record, simulate, backtest, weekly, schema  # noqa: F401  # isort: skip
from slo.cli.output import complain, say
from slo.cli.program import BAD_INPUT, FINE, app
from slo.errors import SloError


def main() -> NoReturn:
    """Runs the command line; every error on purpose becomes a message and an exit code here."""
    # Most of what a command makes lives until its end: looking for cycles often would only cost.
    gc.set_threshold(200_000, 50, 50)
    try:
        code = app(standalone_mode=False, prog_name="slo") or FINE
    except SloError as error:
        complain(error)
        code = BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:
        # The reader of a pipe went away, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except OSError as error:
        say(f"error: {error.filename or ''}: {error.strerror or error}".replace(": : ", ": "))
        code = BAD_INPUT
    except Exception as error:
        # Click's own usage errors; its classes differ between versions of typer, their shape does not.
        if not hasattr(error, "format_message"):
            raise
        show = getattr(error, "show", None)
        if show is not None:
            show()
        code = getattr(error, "exit_code", BAD_INPUT)
    sys.exit(code if isinstance(code, int) else FINE)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        import slo

        print(slo.__version__)
        raise typer.Exit
