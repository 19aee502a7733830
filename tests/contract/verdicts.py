"""What is wrong with what a path says of a history, in words; None if nothing is."""

from __future__ import annotations

import numpy as np

from slo.sli.counts import LOOKBACK_MS, TRAFFIC_MS
from tests.contract.fleet import Bools
from tests.contract.histories import History
from tests.contract.history import IMPOSSIBLE, IN_DOUBT, NO_BOUND, NOTHING_MATCHED, SEVERAL_WRITERS
from tests.contract.paths import Counted

# What a note must be about, and the codes that are.
CODES = {
    IMPOSSIBLE: {"impossible", "not-a-probe"},
    SEVERAL_WRITERS: {"several-writers"},
    NO_BOUND: {"bound-missing", "no-such-bound"},
    NOTHING_MATCHED: {"unmatched"},
}
# Notes by which a path says that it may have left something out, or taken one thing for another.
_SAID = {"relabelled", "born", "in-doubt", "gap-unknown", "bound-missing", "judged-twice"}
# What a server adds up otherwise; each has its note, and its sentence in docs/counting.md.
SERVER_LIMITS = {
    "a bucket is away for twenty minutes": "bound-missing",
    "a probe is relabelled and gives nan": "not-finite",
    "one of two histograms of a target lacks the bound": "bound-missing",
}
# Two scrapers of what looks like one target.
_SHARED = {"replicas", "two clusters"}


def fault(history: History, came: Counted, lookback_ms: int | None = None) -> str | None:
    """What is wrong with what a path says of a history; None if nothing is."""
    if history.state == "counted" and came.state == "invalid" and "in-doubt" in came.codes:
        return None  # nothing is better than a doubtful figure
    if came.state == "invalid" and (history.errors < 0).any():
        return None  # a broken value at a scrape that counts makes good events more than all
    if came.state != history.state:
        return f"state {came.state!r} instead of {history.state!r}; {came.notes}"
    for subject in history.notes - {IN_DOUBT}:
        if not CODES[subject] & came.codes:
            return f"no note on {subject}; there are {sorted(came.codes)}"
    # That a gauge's old name has ended shows five minutes later.
    just_renamed = history.kind in ("threshold", "freshness") and "relabelling" in history.hazards
    return history.problem(came.errors, came.total, lookback_ms=lookback_ms, noted=bool(came.codes) or just_renamed)


def fault_on_a_server(history: History, came: Counted) -> str | None:
    """The same for a path that looks back for two hours, and adds up in steps.

    Where it says that something is in doubt its count may be off, but never by what series had before: by less than a
    tenth of all events, or by half of them where two scrapers share a target's name.
    """
    found = fault(history, came, LOOKBACK_MS)
    if found is None or history.state != "counted" or came.state == "no data":
        return found
    hazards = set(history.hazards)
    if came.state == "invalid" and "bound-missing" in came.codes and hazards >= {"two clusters", "mixed bounds"}:
        return None  # of one target some histograms have the bound: a server cannot tell their requests apart
    if "broken values" in hazards:
        return None if "not-finite" in came.codes else f"{found}; no note on values that are not numbers"
    if came.state != "counted":
        return found
    if _SAID & came.codes:
        share = 0.5 if hazards & (_SHARED | {"no job and instance"}) else 0.1
    elif hazards & {"relabelling", "series away"}:
        # A series that is back, and falls or is renamed again in the same step: some of it is counted twice, unsaid.
        share = 0.01
    elif hazards >= {"rare series", "crash loop"}:
        share = 0.003  # it appeared in a step, was gone for some scrapes, and came back lower: what it fell from
    else:
        return found
    # A pause may hide how much a series has that began in it; what is not believed is in doubt.
    most = share * float(history.total.sum()) + 10 + history.begun_in_pauses(TRAFFIC_MS)
    # Within a step the old labels are no new ones, and count what the others counted meanwhile.
    most += history.taken_back_in_a_step
    return _beyond(history, came, most, f"{sorted(came.codes)} explain")


def _beyond(
    history: History, came: Counted, most: float, why: str, *, rules: bool = False, steps: Bools | None = None
) -> str | None:
    """Where the sums (of some steps) are off by more than `most` and than what nobody who looks back for two hours can know."""
    span = history.unknown(LOOKBACK_MS, rules=rules)
    judged = np.ones(len(history.total), bool) if steps is None else steps
    for name, counted, right, less, more in (
        ("errors", came.errors, history.errors, span.less_errors, span.more_errors),
        ("total", came.total, history.total, span.less_total, span.more_total),
    ):
        found, true = float(counted[judged].sum()), float(right[judged].sum())
        if not -less - most <= found - true <= more + most:
            return f"{name}: {found} instead of {true} (−{less}, +{more} are in doubt), more than {why}"
    return None


def _without_limits_of_rules(history: History) -> Bools:
    """The steps in which rules meet none of their limits, in this one or in the one before: they are late by a scrape."""
    times = np.array([doubt.at_ms for doubt in history.of_rules], dtype=np.int64)
    met = history.grid.add(times, np.ones(len(times))) > 0
    free: Bools = ~(met | np.concatenate([[False], met[:-1]]))
    return free


# What the rules count otherwise by more than a fiftieth; docs/counting.md has a sentence for each.
RULE_LIMITS = {
    "a histogram without its count",
    "a relabelling is undone",
    "one of two histograms of a target lacks the bound",
    "a bucket is away for twenty minutes",
    "data that is ten minutes old",  # its first minute is a tenth of it, and a baseline
}
# An outage is judged from series that the rules record.
_BY_RECORDED = ("outage",)


def fault_by_rules(history: History, came: Counted) -> str | None:
    """The same for tiles that rules record, each for itself, for good, and without a note.

    A target's first tile after it was renamed or has joined with old counters is its baseline, and so is what comes after
    a pause of more than two hours: of all events a fiftieth may be missing or too much, and no ratio may be off by as much.
    """
    if history.state != "counted" or history.kind.startswith(_BY_RECORDED) or "broken values" in history.hazards:
        return None  # rules have no word for what cannot be believed; values that are not numbers lose their tiles
    found = history.problem(came.errors, came.total, lookback_ms=LOOKBACK_MS)
    if found is None:
        return None
    right = float(history.total.sum())
    if set(history.hazards) >= {"two clusters", "mixed bounds"}:
        return None  # `slo check --source` names them
    share = 0.1 if set(history.hazards) & (_SHARED | {"no job and instance"}) else 0.02
    most = share * right + 20
    # A relabelling that is taken back within a quarter of an hour counts twice what happened meanwhile; any where
    # targets share a name.
    most += history.taken_back
    found = _beyond(history, came, most, "a fiftieth", rules=True)
    if found is None and history.of_rules:
        # What a limit explains it explains where it is met, and nowhere else.
        found = _beyond(
            history, came, most, "a fiftieth where no limit is met", steps=_without_limits_of_rules(history)
        )
    return found


def undecided(history: History, came: Counted) -> bool:
    """Whether a path says that it left out, or took otherwise, what no reader of the scrapes could decide.

    Two scrapers of one target, a restart under other labels, a broken value: three in a thousand. First values after an
    idle time, and what processes that nobody saw begin had in a pause: none of them.
    """
    hazards = set(history.hazards)
    less = [float((right - own).sum()) for own, right in ((came.errors, history.errors), (came.total, history.total))]
    if hazards & {"idle", "short visits"} and "in-doubt" in came.codes and min(less) >= 0:
        return True
    close = bool(hazards & (_SHARED | {"version label", "crash loop", "broken values"}))
    # A broken value in the scrape in which labels change: two changes are read together.
    share = 0.03 if hazards >= {"broken values", "relabelling"} else 0.003
    # A scraper that joins while another's scrape times out looks like new labels of it.
    share = 0.01 if hazards >= {"replicas", "time outs"} else share
    return close and bool(came.codes) and max(map(abs, less)) <= share * float(history.total.sum())
