"""What a reader must know of how the events were counted."""

from __future__ import annotations

from slo.display import show_count
from slo.sli.base import Note, QueryAnswer
from slo.sli.counts import LOOKBACK_MS, CountingStats
from slo.window import format_duration

_NAMED = 3


def counting_notes(seen: CountingStats) -> list[Note]:
    """The notes on what was met while the events were counted."""
    notes = []
    if seen.resets:
        notes.append(
            Note("resets", f"{seen.resets} counter resets: events between a last scrape and its restart are not known")
        )
    if seen.continued:
        notes.append(
            Note(
                "relabelled", f"{seen.continued} series went on under other labels; they count on from where they were"
            )
        )
    if seen.born:
        notes.append(
            Note("born", f"{seen.born} series appeared on targets that were already scraped; their first values count")
        )
    doubt = max(seen.doubt_events, seen.doubt_errors)
    if doubt:
        of_targets = f", of {seen.without_baseline} new targets" if seen.without_baseline else ""
        notes.append(
            Note(
                "in-doubt",
                f"{show_count(doubt)} events in doubt were not counted{of_targets}: series appeared or restarted with "
                "values higher than their targets' traffic makes possible",
            )
        )
    if seen.dropped:
        notes.append(
            Note(
                "not-finite",
                f"{seen.dropped} samples were not possible values (NaN, infinite, negative, or gone again within 3 scrapes) and were left out",
            )
        )
    if seen.longest_unseen_ms:
        notes.append(
            Note(
                "gap-unknown",
                f"no scrapes for {format_duration(seen.longest_unseen_ms)}, longer than the {format_duration(LOOKBACK_MS)} "
                "that the server looks back: what happened in the meantime is unknown",
            )
        )
    return notes


def several_writers(seen: CountingStats) -> tuple[Note, ...]:
    """What makes the figures invalid: counters that more than one process writes."""
    if not seen.several_writers:
        return ()
    named = "; ".join(seen.several_writers[:_NAMED])
    more = f" and {len(seen.several_writers) - _NAMED} more" if len(seen.several_writers) > _NAMED else ""
    return (
        Note(
            "several-writers",
            f"several processes write {named}{more}: the counter falls at a large share of its scrapes, so nothing can be "
            "counted; give each process an instance of its own",
        ),
    )


def source_notes(*answers: QueryAnswer) -> tuple[Note, ...]:
    """What a source said alongside its answers."""
    return tuple(Note("source", text) for text in dict.fromkeys(text for answer in answers for text in answer.notes))
