"""`slo status`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from slo.cli.inputs import open_sources, opener, read_interval, read_specs, read_states, review, selection, verdict
from slo.cli.output import WIDE, complain, count, print_json, say, show, terminal_width
from slo.cli.program import (
    AsJson,
    Config,
    End,
    From,
    Gate,
    Jobs,
    OnlyLabel,
    OnlyOwner,
    OnlyService,
    OnlySlo,
    OnlyState,
    Paths,
    Sources,
    command,
)
from slo.errors import ConfigError, SourceError
from slo.limits import one_run

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from slo.budget.model import Budget
    from slo.review import Review
    from slo.spec.model import Specs

# Of these columns the first that does not fit goes first; SLO, remaining and state always stay.
_DROPPED_FIRST = ("coverage", "window", "3d burn", "objective", "6h burn", "SLI", "1h burn")
_GAP = 2  # between columns
_COLOURS = {
    "exhausted": "bold red",
    "burning": "bold yellow",
    "invalid": "bold magenta",
    "at risk": "yellow",
    "healthy": "green",
    "no data": "magenta",
}


@command("slo status definitions/ --source http://localhost:9090")
def status(
    paths: Paths,
    source: Sources = None,
    end: End = None,
    config: Config = None,
    read: From = "auto",
    service: OnlyService = None,
    slo: OnlySlo = None,
    owner: OnlyOwner = None,
    label: OnlyLabel = None,
    state: OnlyState = None,
    watch: Annotated[
        str | None,
        typer.Option(
            "--watch", metavar="INTERVAL", help="Show it anew every 30s, say, until it is interrupted (Ctrl-C)."
        ),
    ] = None,
    as_json: AsJson = False,
    jobs: Jobs = None,
    gate: Gate = False,
) -> int:
    """A table of all SLOs: SLI, budget remaining, burn rates, state."""
    from slo.budget.model import SCHEMA_VERSION
    from slo.budget.recorded import checked_from
    from slo.spec.select import select

    only, states = selection(service, slo, owner, label), read_states(state)
    if watch is not None and (as_json or end is not None):
        raise ConfigError("--watch shows a table of now, again and again; leave --json and --end out")
    checked_from(read)  # a wrong one is said before anything is read
    every = read_specs(paths)
    specs = select(every, only)
    origin = open_sources(source, config)

    def asked() -> Review:
        # The table shows neither the past nor who had the bad events, so no server is asked for them.
        shown = {"since": None, "breakdown": False, "percentiles": as_json, "steps": as_json}
        many = {"jobs": jobs, "opened": opener(source, config)}
        return review(specs, origin, end, only, states, read=checked_from(read), **shown, **many)

    if watch is not None:
        return verdict(_watched(asked, read_interval(watch, "--watch")), gate)
    budgets = asked()
    if as_json:
        print_json({"version": SCHEMA_VERSION, "slos": [budget.to_dict() for budget in budgets]})
    else:
        show(table_of(budgets, terminal_width()))
    _say_what_needs_attention(specs, budgets)
    return verdict(budgets, gate)


def _watched(asked: Callable[[], Review], interval_ms: int) -> Sequence[Budget]:
    """The table, drawn anew after each interval until it is interrupted; the budgets of the last one.

    A source that fails is said below the table before, and asked again: it is watched when things fail.
    """
    import sys
    import time

    from rich.text import Text

    budgets: Sequence[Budget] = ()
    try:
        while True:
            try:
                with one_run():  # each time anew
                    review = asked()
            except SourceError as error:
                complain(error)
            else:
                budgets = review
                # Only a terminal is cleared; a file keeps all tables.
                print("\x1b[H\x1b[2J" if sys.stdout.isatty() else "", end="")
                head = f"{review.source} at {review.at:%Y-%m-%d %H:%M:%S} UTC"
                show(Text(head, style="dim"), table_of(review, terminal_width()))
                sys.stdout.flush()
            time.sleep(interval_ms / 1000)
    except KeyboardInterrupt:
        return budgets


def table_of(budgets: Sequence[Budget], width: int = WIDE) -> Table | Text:
    """The budgets, worst first, with the columns that fit into so many characters."""
    from rich.cells import cell_len

    from slo.budget.model import TROUBLE
    from slo.display import show_percent, show_rate, show_share

    worst = sorted(budgets, key=lambda b: (TROUBLE[b.state], b.remaining if b.remaining is not None else 0.0))
    columns: dict[str, list[str]] = {
        "SLO": [budget.slo.id for budget in worst],
        "objective": [str(budget.slo.objective) for budget in worst],
        "window": [str(budget.slo.window) for budget in worst],
        "SLI": [show_percent(budget.sli, 3) for budget in worst],
        "remaining": [show_percent(budget.remaining) for budget in worst],
        **{
            f"{window} burn": [show_rate(budget.burn_rate(window)) for budget in worst] for window in ("1h", "6h", "3d")
        },
        "coverage": [show_share(budget.coverage) for budget in worst],
        "state": [budget.state.value for budget in worst],
    }
    needed = {name: max(cell_len(text) for text in (name, *texts)) + _GAP for name, texts in columns.items()}
    for name in _DROPPED_FIRST:
        if sum(needed[left] for left in columns) - _GAP <= width:
            break
        del columns[name]
    fits = sum(needed[name] for name in columns) - _GAP <= width
    return (lines_of if fits else folded)(columns, needed)


def folded(columns: Mapping[str, Sequence[str]], needed: Mapping[str, int]) -> Table:
    """The table where names need several lines."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        if name == "SLO":
            table.add_column(name, overflow="fold", min_width=min(20, needed[name] - _GAP))
        else:
            table.add_column(name, justify="left" if name == "state" else "right", no_wrap=True)
    for row in zip(*columns.values(), strict=True):
        cells = zip(columns, row, strict=True)
        table.add_row(*(Text(text, style=_COLOURS[text] if name == "state" else "") for name, text in cells))
    return table


def lines_of(columns: Mapping[str, Sequence[str]], needed: Mapping[str, int]) -> Text:
    """The table where each row is a line: as Rich draws it, which takes ten times as long for a thousand rows."""
    from rich.cells import cell_len
    from rich.text import Text

    def padded(name: str, text: str) -> str:
        space = " " * (needed[name] - _GAP - cell_len(text))
        return text + space if name in ("SLO", "state") else space + text

    gap, text = " " * _GAP, Text(no_wrap=True)
    text.append(gap.join(padded(name, name) for name in columns), style="bold")
    for row in zip(*columns.values(), strict=True):
        *cells, state = (padded(name, cell) for name, cell in zip(columns, row, strict=True))
        text.append("\n" + gap.join((*cells, "")))
        text.append(state, style=_COLOURS[row[-1]])
    return text


def _say_what_needs_attention(specs: Specs, budgets: Sequence[Budget]) -> None:
    """Notes that somebody should look at, and errors of definitions, on standard error."""
    from slo.budget.codes import needs_attention
    from slo.budget.notes import said_once

    chosen = {slo.file for slo in specs.values()}
    doubts = [warning for warning in specs.warnings if warning.file in chosen]
    for error in doubts:
        if error.severity == "error":
            say(str(error))
    for said in said_once(budgets):
        if needs_attention(said.code):
            say(str(said))
    warnings = sum(problem.severity == "warning" for problem in doubts)
    if warnings:
        say(f"{count(warnings, 'warning')} about the definitions; `slo check` shows them")
