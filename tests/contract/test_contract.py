"""One contract of counting: every kind of SLI, on every hostile history, by every path.

The paths are the samples themselves, the embedded engine on the kind's PromQL, and real servers that add up step by
step. Each gives the counts of an oracle that knows every process, or says in a note what it does not know.

`make test` draws 360 histories, `make slow` 3,000, and as many as there is time for:

    make contract HISTORIES=100000 SEED=7
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from slo.promql.samples import Samples
from slo.sli import stepwise
from slo.sli.counts import LOOKBACK_MS, TRAFFIC_MS
from slo.sli.kinds import KINDS as SLI_KINDS
from slo.source import Source
from slo.source import open as open_source
from slo.source.openmetrics import write_openmetrics
from slo.window import DAY
from tests.contract.hazards import Numpy, short_visits
from tests.contract.histories import KINDS, NAMED, History, draw
from tests.contract.history import (
    IMPOSSIBLE,
    IN_DOUBT,
    NO_BOUND,
    NOTHING_MATCHED,
    SEVERAL_WRITERS,
    finish,
    setting,
)
from tests.contract.paths import Counted, count, count_by_engine, count_by_rules, count_by_samples
from tests.servers import Prometheus, VictoriaMetrics, load_openmetrics

HISTORIES = int(os.environ.get("SLO_HISTORIES", "360"))
SEED = int(os.environ.get("SLO_SEED", "0"))
_PARTS = 12  # drawn histories are tested in so many parts, side by side
_ENGINE = 6  # one in so many of them by the engine too
_SERVER = int(os.environ.get("SLO_SERVED", "8"))  # so many by a real server

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
    return _beyond(history, came, most, f"{sorted(came.codes)} explain")


def _beyond(history: History, came: Counted, most: float, why: str) -> str | None:
    """Where the sums are off by more than `most` and than what nobody who looks back for two hours can know."""
    span = history.unknown(LOOKBACK_MS)
    for name, counted, right, less, more in (
        ("errors", came.errors, history.errors, span.less_errors, span.more_errors),
        ("total", came.total, history.total, span.less_total, span.more_total),
    ):
        off = float(counted.sum() - right.sum())
        if not -less - most <= off <= more + most:
            return f"{name}: {counted.sum()} instead of {right.sum()} (−{less}, +{more} are in doubt), more than {why}"
    return None


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
    # Nothing says how much a series may have that began in a pause of a quarter of an hour.
    most += history.begun_in_pauses(TRAFFIC_MS)
    return _beyond(history, came, most, "a fiftieth")


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


@pytest.fixture
def steps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is never asked for raw samples."""
    monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", -1)


def test_every_kind_of_sli_has_histories() -> None:
    assert {kind.split()[0] for kind in KINDS} >= set(SLI_KINDS)


@pytest.mark.parametrize("name", NAMED)
def test_samples_of_named_histories(name: str) -> None:
    history = NAMED[name]()
    assert fault(history, count_by_samples(history)) is None


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.usefixtures("steps_only")
def test_the_engine_on_named_histories(name: str) -> None:
    history = NAMED[name]()
    came = count_by_engine(history)
    if name in SERVER_LIMITS:
        assert SERVER_LIMITS[name] in came.codes
        return
    assert fault(history, came, LOOKBACK_MS) is None


@pytest.mark.parametrize("part", range(_PARTS))
def test_samples_of_drawn_histories(part: int) -> None:
    for seed in range(SEED + part, SEED + HISTORIES, _PARTS):
        history = draw(seed)
        came = count_by_samples(history)
        # A raw expression is PromQL wherever it is evaluated.
        found = fault_on_a_server(history, came) if history.kind.startswith("raw") else fault(history, came)
        assert found is None or undecided(history, came), f"draw({seed}) = {history}: {found}"


@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.usefixtures("steps_only")
def test_the_engine_on_drawn_histories(part: int) -> None:
    for seed in range(SEED + part * _ENGINE, SEED + HISTORIES, _PARTS * _ENGINE):
        history = draw(seed)
        found = fault_on_a_server(history, count_by_engine(history))
        assert found is None, f"draw({seed}) = {history}: {found}"


@pytest.mark.parametrize("name", NAMED)
def test_the_rules_on_named_histories(name: str) -> None:
    history = NAMED[name]()
    if name not in RULE_LIMITS:
        assert fault_by_rules(history, count_by_rules(history)) is None


@pytest.mark.parametrize("part", range(_PARTS))
def test_the_rules_on_drawn_histories(part: int) -> None:
    for seed in range(SEED + part * _ENGINE, SEED + HISTORIES, _PARTS * _ENGINE):
        history = draw(seed)
        found = fault_by_rules(history, count_by_rules(history))
        assert found is None, f"draw({seed}) = {history}: {found}"


@pytest.mark.parametrize("seed", range(40))
def test_a_target_that_is_scraped_for_minutes_now_and_then(seed: int) -> None:
    """By samples and by rules: what returns is not a birth, however short its visits and whenever they are."""
    made = setting("ratio", 5, seed=seed)
    for name in ("a", "b", "c"):
        made.add(name, 10, 0.02, 1e4)
    short_visits(made, Numpy(seed))
    history = finish(made, f"short visits {seed}")
    assert fault(history, count_by_samples(history)) is None
    assert fault_by_rules(history, count_by_rules(history)) is None


class Merged:
    """Many histories in one server, each moved to a day of its own, in the past."""

    first_day = -200

    def __init__(self, histories: Sequence[History]) -> None:
        self.histories = histories
        rows: dict[tuple[tuple[str, str], ...], list[tuple[np.ndarray, np.ndarray]]] = {}
        for number, history in enumerate(histories):
            for series in history.samples.series:
                key = tuple(sorted(series.labels.items()))
                rows.setdefault(key, []).append((series.times + (self.first_day + number) * DAY, series.values))
        self.samples = Samples.from_series(
            (dict(key), np.concatenate([times for times, _ in held]), np.concatenate([values for _, values in held]))
            for key, held in sorted(rows.items())
        )

    def counted(self, source: Source) -> Iterator[tuple[History, Counted]]:
        for number, history in enumerate(self.histories):
            yield history, count(history, source, (self.first_day + number) * DAY)


def _for_servers(drawn: int, part: int) -> list[History]:
    """Named and drawn histories without stale markers, which the text format cannot carry.

    `part` (0 to 3): which quarter of the named ones it is, so that the four tests have each once; `make slow` takes all.
    """
    named = list(NAMED.values())
    found = [make() for make in (named if "SLO_SERVED" in os.environ else named[part::4])]
    found += [draw(SEED + seed) for seed in range(drawn)]
    return [history for history in found if not history.stale and history.kind not in ("threshold", "freshness")]


def _same_as_the_engine(merged: Merged, source: Source) -> list[str]:
    """Where a server counts otherwise than the engine does."""
    faults = []
    for history, came in merged.counted(source):
        ours = count_by_engine(history)
        for what in ("errors", "total"):
            theirs, own = getattr(came, what), getattr(ours, what)
            if not np.allclose(theirs, own, rtol=1e-9, atol=1e-6):
                faults.append(f"{history}: {what} {theirs.sum()} on the server, {own.sum()} on the engine")
        if came.state != ours.state:
            faults.append(f"{history}: {came.state} on the server, {ours.state} on the engine")
    return faults


@pytest.mark.server
@pytest.mark.usefixtures("steps_only")
@pytest.mark.parametrize(("binary", "part"), [("prometheus", 0), ("prometheus2", 1)])
def test_a_real_prometheus_counts_as_the_engine_does(tmp_path: Path, binary: str, part: int) -> None:
    merged = Merged(_for_servers(_SERVER, part))
    write_openmetrics(tmp_path / "histories.txt", merged.samples)
    data = load_openmetrics(tmp_path / "histories.txt", tmp_path / "data")
    with Prometheus(tmp_path, data=data, binary=binary) as server:
        assert _same_as_the_engine(merged, open_source(server.url)) == []


@pytest.mark.server
@pytest.mark.usefixtures("steps_only")
def test_victoria_metrics_counts_as_the_engine_does(tmp_path: Path) -> None:
    merged = Merged(_for_servers(_SERVER, 2))
    write_openmetrics(tmp_path / "histories.txt", merged.samples)
    with VictoriaMetrics(tmp_path) as server:
        server.load(tmp_path / "histories.txt")
        faults = []
        for history, came in merged.counted(open_source(server.url)):
            found = fault_on_a_server(history, came)
            if found is not None and history.name not in SERVER_LIMITS:
                faults.append(f"{history}: {found}")
        assert faults == []


@pytest.mark.server
def test_raw_samples_of_a_real_prometheus_count_as_a_recording_does(tmp_path: Path) -> None:
    merged = Merged(_for_servers(_SERVER, 3))
    write_openmetrics(tmp_path / "histories.txt", merged.samples)
    data = load_openmetrics(tmp_path / "histories.txt", tmp_path / "data")
    with Prometheus(tmp_path, data=data) as server:
        for history, came in merged.counted(open_source(server.url)):
            ours = count_by_samples(history)
            assert (came.state, came.errors.tolist(), came.total.tolist()) == (
                ours.state, ours.errors.tolist(), ours.total.tolist(),
            ), history  # fmt: skip
