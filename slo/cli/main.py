"""Runs a command; every error becomes a message and an exit code here."""

from __future__ import annotations

import gc
import io
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Annotated, Any, NoReturn

import typer

# Importing a command's file adds it; --help lists them in this order.
from slo.cli import init, import_, explain, check, rules, backfill, status, report, record  # noqa: F401  # isort: skip
from slo.cli import simulate, backtest, weekly, ledger, dashboard, export, schema  # noqa: F401  # isort: skip
from slo.cli import program
from slo.cli.output import complain, discard_output, say
from slo.cli.program import BAD_INPUT, FINE, UNEXPECTED, app
from slo.errors import ConfigError, SloError
from slo.limits import one_run


def main() -> NoReturn:
    """Runs the command line; every error becomes a message and an exit code here."""
    _give_streams()
    # Most of what a command makes lives until its end: looking for cycles often would only cost.
    gc.set_threshold(200_000, 50, 50)
    # Arithmetic on values of 1e308 is said in notes, in words; numpy's own warnings name lines of code.
    warnings.simplefilter("ignore", RuntimeWarning)
    arguments, debug = _without_debug(sys.argv[1:])
    sys.exit(run(arguments, debug))


def _give_streams() -> None:
    """Standard streams that whoever started us has closed lead to /dev/null: a job may have none, and the next file that
    is opened would get their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def run(arguments: Sequence[str], debug: bool = False) -> int:
    """The exit code of one command, its errors said on standard error."""
    for stream in (sys.stdout, sys.stderr):
        # A file name that is not UTF-8, or `…` where the terminal has ASCII, is escaped and not a failure.
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
    try:
        if "" in arguments:
            raise ConfigError(
                "an argument is empty: a variable of the shell may not be set; leave it out, or give its value"
            )
        arguments, folders = _without_presets(arguments)
        _add_installed(arguments)
        with one_run(), _presets(folders):
            commands = built(len(app.registered_commands), len(app.registered_groups))
            code = commands(args=list(arguments), standalone_mode=False, prog_name="slo") or FINE
        sys.stdout.flush()  # here, where a full disk or a closed pipe still has an exit code
    except SloError as error:
        _trace(debug)
        complain(error)
        return BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # The reader of a pipe went away, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except MemoryError:
        _trace(debug)
        say("error: there is not enough memory for this; take a shorter time range, fewer SLOs, or a larger machine")
        return BAD_INPUT
    except Exception as error:  # noqa: BLE001 - whatever it is, 1 is promised to mean something else
        if isinstance(error, OSError) and error.errno is not None:
            _trace(debug)
            say(f"error: {error.filename or ''}: {error.strerror or error}".replace(": : ", ": "))
            discard_output()
            return BAD_INPUT
        # Click's own usage errors; its classes differ between versions of typer, their shape does not.
        if hasattr(error, "format_message"):
            _usage(error)
            return int(getattr(error, "exit_code", BAD_INPUT))
        _trace(debug)
        say(_bug(error, debug))
        return UNEXPECTED
    return code if isinstance(code, int) else FINE


@cache
def built(commands: int, groups: int) -> Any:
    """What typer makes of all functions that are commands, once for as many as there are: it takes as long as a short command."""
    return typer.main.get_command(app)


def _add_installed(arguments: Sequence[str]) -> None:
    """Adds the commands of installed packages, where one may be meant: looking for them takes longer than `--help` may."""
    known = {
        command.name or command.callback.__name__ for command in program.app.registered_commands if command.callback
    }
    known |= {group.name for group in program.app.registered_groups if group.name}
    named = next((text for text in arguments if not text.startswith("-")), None)
    if named is None or named not in known:
        from slo import plugins

        for name, point in plugins.installed(plugins.COMMANDS).items():
            if name not in known:
                plugins.load(point)


def _without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """The arguments without `--debug`, wherever it stands before `--`, and whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    before = [text for text in arguments[:end] if text != "--debug"]
    return [*before, *arguments[end:]], len(before) < end


def _without_presets(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments without `--presets DIR`, wherever it stands before `--`, and the folders. Raises ConfigError."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    rest: list[str] = []
    folders: list[str] = []
    before = iter(arguments[:end])
    for text in before:
        if text == "--presets":
            folder = next(before, None)
            if folder is None:
                raise ConfigError("--presets needs a folder of presets")
            folders.append(folder)
        elif text.startswith("--presets="):
            folders.append(text.removeprefix("--presets="))
        else:
            rest.append(text)
    return [*rest, *arguments[end:]], folders


def _presets(folders: Sequence[str]) -> AbstractContextManager[None]:
    if not folders:
        return nullcontext()
    from slo.spec.presets import folders_added

    return folders_added(folders)


def _usage(error: Any) -> None:
    """What click says of a wrong command line, which may hold a password in the wrong place."""
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if context is None:
        say(f"error: {message}")
    elif type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        say(f"{context.get_usage()}\nTry '{context.command_path} --help'.\nerror: {message}")


def _trace(debug: bool) -> None:
    """The traceback of the exception at hand, where it was asked for."""
    if debug:
        import traceback

        say(traceback.format_exc().rstrip())


def _bug(error: Exception, debug: bool) -> str:
    import platform
    from importlib.metadata import PackageNotFoundError, metadata

    import slo

    where = "the issue tracker of this project"
    try:
        addresses = [line.partition(", ") for line in metadata("slo").get_all("Project-URL") or ()]
        where = next((address for name, _, address in addresses if "issue" in name.lower()), where)
    except PackageNotFoundError:
        pass
    text = " ".join(str(error).split())
    what = f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
    more = "" if debug else ", and what the same command prints with --debug"
    return (
        f"error: slo failed in a way that it should not: {what}\nThis is a bug. Please report it at {where}, with this "
        f"message{more} (slo {slo.__version__}, Python {platform.python_version()}, {platform.system()})"
    )


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Also print the traceback of an error; accepted anywhere.")
    ] = False,
    presets: Annotated[
        list[str] | None,
        typer.Option(
            "--presets", metavar="DIR", help="A folder of presets of your own; may be repeated, accepted anywhere."
        ),
    ] = None,
) -> None:
    if version:
        import slo

        print(slo.__version__)
        raise typer.Exit
