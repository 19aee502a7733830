"""What must be said alongside figures about the data that they rest on: where it begins, where it lacks, how long it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from slo.budget.model import Budget
from slo.display import show_share
from slo.sli.base import Note
from slo.sli.counts import Gap
from slo.spec.model import Slo
from slo.window import DAY, Calendar, format_duration

if TYPE_CHECKING:
    from slo.sli.counts import Grid

FRESH, RETENTION = "fresh", "retention"
# The notes on gaps name the longest ones.
_NAMED_GAPS = 3
# Targets are scraped at different moments of an interval, and a rollout takes a while: one beginning for a reader.
_SAME_BEGINNING = timedelta(minutes=5)
# So many SLOs with one and the same note have it once.
_MANY = 3
_NAMED_SLOS = 3
# What a server keeps must hold the window and what burn rates and a late report look back on.
SPARE_DAYS = 5


def data_begins(gaps: Sequence[Gap], grid: Grid) -> int | None:
    """Where the data begins, milliseconds UTC: the end of a gap that lasts from the grid's start on; None without one."""
    first = gaps[0] if gaps else None
    return first.end_ms if first and first.start_ms <= grid.start_ms and first.end_ms < grid.end_ms else None


def gaps_within(gaps: Sequence[Gap], grid: Grid, start_ms: int) -> tuple[Gap, ...]:
    """The gaps after `start_ms` in data that had begun: the time before it began is not a gap."""
    begun = data_begins(gaps, grid)
    return tuple(gap for gap in gaps if gap.end_ms > start_ms and (begun is None or gap.end_ms > begun))


def fresh_note(budget: Budget) -> list[Note]:
    """That the data begins within the window."""
    if budget.data_start is None:
        return []
    return [
        Note(FRESH, f"data begins {say_begin(budget.data_start, budget.end)} ({share_of_window(budget)} of the window)")
    ]


def say_begin(at: datetime, end: datetime) -> str:
    """`26 Nov 23:28 UTC`; with the year where it is not that of the end."""
    return f"{at.day} {at:%b %H:%M}{'' if at.year == end.year else f' {at.year}'} UTC"


def share_of_window(budget: Budget) -> str:
    """How much of the window so far has passed since the data began."""
    begin = budget.data_start or budget.start
    return show_share((budget.end - begin) / (budget.end - budget.start))


def whole_total(budget: Budget) -> float:
    """The events of the whole window at the traffic since the data began."""
    begin = budget.data_start or budget.start
    return budget.total * ((budget.end - budget.start) / (budget.end - begin)) if begin < budget.end else budget.total


def gap_note(budget: Budget, start_ms: int) -> list[Note]:
    """How long scrapes lacked, and what that means for this kind of SLI."""
    if not budget.gaps:
        return []
    lengths = sorted((gap.end_ms - max(gap.start_ms, start_ms) for gap in budget.gaps), reverse=True)
    named = ", ".join(format_duration(length // 1000 * 1000) for length in lengths[:_NAMED_GAPS])
    more = f" and {len(lengths) - _NAMED_GAPS} more" if len(lengths) > _NAMED_GAPS else ""
    what, then = budget.slo.sli.gap_words
    return [Note("gaps", f"no {what} for {named}{more}; {then}")]


def retention_note(slo: Slo, start_ms: int, window_end_ms: int, kept_ms: int | None) -> list[Note]:
    """That a server keeps less than the window, whose older events it has then dropped."""
    length = window_end_ms - start_ms if isinstance(slo.window, Calendar) else slo.window.nominal_ms
    if kept_ms is None or kept_ms >= length:
        return []
    days = -(-length // DAY)
    window = f"{slo.window} of {days}d" if isinstance(slo.window, Calendar) else str(slo.window)
    text = (
        f"the server keeps {format_duration(kept_ms)} of samples, and the window is {window}: what is older is not in the "
        f"figures; start the server with --storage.tsdb.retention.time={days + SPARE_DAYS}d"
    )
    return [Note(RETENTION, text)]


@dataclass(frozen=True, slots=True)
class Said:
    """A note, and the SLOs (their ids) that it is about; `all` where these are all of several."""

    code: str
    text: str
    slos: tuple[str, ...]
    all: bool

    def __str__(self) -> str:
        if self.all:
            return f"all {len(self.slos)} SLOs: {self.text}"
        rest = len(self.slos) - _NAMED_SLOS
        more = f", and {rest} more" if rest > 0 else ""
        return f"{', '.join(self.slos[:_NAMED_SLOS])}{more}: {self.text}"


def said_once(budgets: Sequence[Budget]) -> list[Said]:
    """The notes of many SLOs, what is the same for several of them once and first, the others in the order of the SLOs.

    Data that began within five minutes for several SLOs is one note, whatever their windows are.
    """
    begun = _beginnings(budgets)
    by_text: dict[tuple[str, str], list[str]] = {}
    for budget in budgets:
        for note in budget.notes:
            text = begun.get(budget.slo.id, note.text) if note.code == FRESH else note.text
            by_text.setdefault((note.code, text), []).append(budget.slo.id)
    shared, own = [], []
    for (code, text), slos in by_text.items():
        said = Said(code, text, tuple(slos), 1 < len(budgets) == len(slos))
        if len(slos) >= (2 if code in (FRESH, RETENTION) else _MANY):
            shared.append(said)
        else:
            own += [Said(code, text, (slo,), False) for slo in slos]
    place = {budget.slo.id: number for number, budget in enumerate(budgets)}
    return shared + sorted(own, key=lambda said: place[said.slos[0]])


def _beginnings(budgets: Sequence[Budget]) -> dict[str, str]:
    """By SLO: the note on where the data begins of all that began with it."""
    texts: dict[str, str] = {}
    group: list[Budget] = []

    def reported() -> None:
        first = group[0]
        assert first.data_start is not None
        # Windows alike have one share, that of the first beginning.
        shares = {
            str(entry.slo.window): share_of_window(replace(entry, data_start=first.data_start)) for entry in group
        }
        listed = ", ".join(f"{share} of {window}" for window, share in list(shares.items())[: _NAMED_SLOS + 1])
        if len(shares) == 1:
            listed = f"{shares.popitem()[1]} of the window"
        for item in group:
            texts[item.slo.id] = f"data begins {say_begin(first.data_start, first.end)} ({listed})"

    fresh = [budget for budget in budgets if budget.data_start is not None]
    for budget in sorted(fresh, key=lambda other: other.data_start or other.start):
        if group and (budget.data_start or budget.start) - (group[0].data_start or budget.start) > _SAME_BEGINNING:
            reported()
            group = []
        group.append(budget)
    if group:
        reported()
    return texts
