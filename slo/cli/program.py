"""The program itself, and the options that several commands have."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

FINE, OUT_OF_BUDGET, BAD_INPUT, UNEXPECTED = 0, 1, 2, 3
NOT_AS_ASSUMED = 1  # `slo check --source`: valid definitions, and a server of which they do not hold

app = typer.Typer(
    name="slo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Plain help: it fits any width, and its pieces are the same in all versions of typer.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="SLOs and error budgets: definitions become Prometheus rules, exact figures and reports.",
    epilog="Exit codes: 0 fine, 1 out of budget (with --fail-on-exhausted), 2 bad input or a source that failed, "
    "3 an error that should not happen (--debug shows its traceback).",
)

Function = TypeVar("Function", bound=Callable[..., int])


class _Command(TyperCommand):
    """A command whose help names what to write, not the Python type behind it."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)
        for param in params:
            # Newer versions of typer put `<list[Path]>` behind an argument's name.
            if param.param_type_name == "argument" and hasattr(param, "display_type_rich"):
                param.display_type_rich = lambda ctx: ""
        return params


def _printing(function: Callable[..., int]) -> Callable[..., int]:
    """The function, all that it printed written when it returns."""

    @wraps(function)
    def whole(*args: Any, **kwargs: Any) -> int:
        try:
            code = function(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            # Click ends the program with exit code 1 on EPIPE, as if a budget were exhausted; one without a number it lets pass.
            raise BrokenPipeError("nobody reads the output any more") from None
        return code

    return whole


def command(example: str, name: str | None = None, of: typer.Typer = app) -> Callable[[Function], Function]:
    """Makes a function a command of `slo`, or of a group `of` commands, with an example below its help."""

    def made(function: Function) -> Function:
        # Said in full: left to itself, click cuts the list of commands at 45 characters.
        short = (function.__doc__ or "").partition("\n")[0]
        of.command(name, cls=_Command, short_help=short, epilog=f"Example: {example}")(_printing(function))
        return function

    return made


class RulesNames(StrEnum):
    """Whose names the recorded series have."""

    OWN = "slo"
    SLOTH = "sloth"


Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH", help="Definition files, or folders of them; - is standard input.")
]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        "-s",
        metavar="[SERVICE=]URL|FILE",
        help="A server with the Prometheus API (http://host:9090, or host:9090), a recording's path, or a file of events; may be "
        "repeated, also for one service each (shop=http://host:9090). [env var: SLO_SOURCE]",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Credentials and time-outs of the source.", envvar="SLO_CONFIG"),
]
End = Annotated[
    str | None,
    typer.Option(
        "--end",
        metavar="TIME",
        help="The moment of evaluation: 2026-11-20T12:00:00Z or Unix seconds. [default: a recording's end, or now]",
    ),
]
From = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="auto|recorded|raw",
        help="Where a server's figures come from: the series that the rules recorded, raw samples, or the recorded ones where they "
        "are whole and raw samples for the rest.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        metavar="N",
        min=1,
        help="In how many processes 50 SLOs and more are worked on. [default: as many as there are cores]",
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="K/N",
        help="Only part K of N, from 0: whole services, the same parts in every run. For jobs that share the work.",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler", metavar="ADDRESS", help="Work on a Dask cluster: its scheduler, such as tcp://dask:8786."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")]
Gate = Annotated[
    bool,
    typer.Option(
        "--fail-on-exhausted", help="Exit with 1 if an error budget is exhausted, or its figures are invalid."
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The recording to write.")]

_REPEAT = "may be repeated."
OnlyService = Annotated[
    list[str] | None,
    typer.Option("--service", metavar="NAME", help=f"Only SLOs of this service; `*` stands for anything; {_REPEAT}"),
]
OnlySlo = Annotated[
    list[str] | None,
    typer.Option("--slo", metavar="NAME", help=f"Only SLOs of this name, or service/name; {_REPEAT}"),
]
OnlyOwner = Annotated[
    list[str] | None, typer.Option("--owner", metavar="NAME", help=f"Only SLOs of this owner; {_REPEAT}")
]
OnlyLabel = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="NAME=VALUE", help=f"Only SLOs with this label; {_REPEAT} All must hold."),
]
OnlyState = Annotated[
    list[str] | None,
    typer.Option("--state", metavar="STATE", help=f"Only SLOs in this state, such as exhausted or at-risk; {_REPEAT}"),
]
