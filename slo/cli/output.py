"""What commands print, and how."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from slo.errors import DefinitionError, SloError
from slo.redact import hide_secrets

if TYPE_CHECKING:
    from rich.console import RenderableType


# All but the end of a line and the tab.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def show(*parts: RenderableType, width: int | None = None) -> None:
    """Prints tables and texts, `width` columns wide: the terminal's if not given, where there is one."""
    from rich.console import Console
    from rich.text import Text

    console = Console(width=width or terminal_width())
    with console.capture() as captured:
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, Text))
    # By way of `print`, as rich ends the program itself when nobody reads any more.
    print(captured.get(), end="")


# A pipe has no width: a table cut to a guess would lose figures. In a terminal that is too narrow for any table the lines
# are broken by it, and nothing is lost either.
WIDE, _NARROWEST = 200, 40


def terminal_width() -> int:
    """How many characters wide tables are."""
    import shutil

    return max(_NARROWEST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else WIDE


def say(text: str) -> None:
    """One message on standard error, without any secret. Text that its encoding cannot hold is escaped, and so are control
    characters: what a server says may be meant for the terminal.

    Where nothing can be said, as its disk is full or its reader gone, the exit code still tells.
    """
    with suppress(OSError):
        print(_CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", hide_secrets(text, os.environ)), file=sys.stderr)


def discard_output() -> None:
    """Drops what is left to print where it cannot be printed, so that the interpreter does not try again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(data: object) -> None:
    """Prints data as JSON."""
    print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def count(number: int, text: str, many: str | None = None) -> str:
    """`1 SLO`, `2 SLOs`."""
    return f"{number:,} {text if number == 1 else many or text + 's'}"


def with_warnings(problems: Sequence[object]) -> str:
    """`, with 2 warnings`, or nothing."""
    return f", with {count(len(problems), 'warning')}" if problems else ""


def complain(error: SloError) -> None:
    """Prints an error to standard error; of definitions every one."""
    if isinstance(error, DefinitionError):
        for problem in error.problems:
            say(str(problem))
        errors = sum(problem.severity == "error" for problem in error.problems)
        say(f"{count(errors, 'error')}; nothing was written")
    else:
        say(f"error: {error}")


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error while something takes long, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total or None)
        yield lambda: bar.advance(task)
