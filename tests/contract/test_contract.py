"""One contract of counting: every kind of SLI, on every hostile history, by every path.

The paths are the samples themselves, the embedded engine on the kind's PromQL, and real servers that add up step by
step. Each gives the counts of an oracle that knows every process, or says in a note what it does not know.

`make test` draws 240 histories, `make slow` 3,000, and as many as there is time for:

    make contract HISTORIES=100000 SEED=7      # tests/contract/many.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from slo.promql.samples import Samples
from slo.sli import stepwise
from slo.sli.counts import LOOKBACK_MS
from slo.sli.kinds import KINDS as SLI_KINDS
from slo.source import Source
from slo.source import open as open_source
from slo.source.openmetrics import write_openmetrics
from slo.window import DAY
from tests.contract.hazards import Numpy, short_visits
from tests.contract.histories import KINDS, NAMED, History, draw
from tests.contract.history import finish, setting
from tests.contract.many import faults_of
from tests.contract.paths import Counted, count, count_by_engine, count_by_rules, count_by_samples
from tests.contract.verdicts import RULE_LIMITS, SERVER_LIMITS, fault, fault_by_rules, fault_on_a_server
from tests.servers import Prometheus, VictoriaMetrics, load_openmetrics

HISTORIES = int(os.environ.get("SLO_HISTORIES", "240"))
SEED = int(os.environ.get("SLO_SEED", "0"))
_PARTS = 12  # drawn histories are tested in so many parts, side by side
_ENGINE = 6  # one in so many of them by the engine too
_SERVER = int(os.environ.get("SLO_SERVED", "8"))  # so many by a real server


@pytest.fixture
def steps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is never asked for raw samples."""
    monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", -1)


_by_engine: dict[str, Counted] = {}


def counted_by_engine(history: History) -> Counted:
    """The same, counted once for the tests that compare servers with it too."""
    if history.name not in _by_engine:
        _by_engine[history.name] = count_by_engine(history)
    return _by_engine[history.name]


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
    came = counted_by_engine(history)
    if name in SERVER_LIMITS:
        assert SERVER_LIMITS[name] in came.codes
        return
    assert fault(history, came, LOOKBACK_MS) is None


@pytest.mark.parametrize("part", range(_PARTS))
def test_samples_of_drawn_histories(part: int) -> None:
    assert _drawn("samples", range(SEED + part, SEED + HISTORIES, _PARTS)) == []


@pytest.mark.parametrize("part", range(_PARTS))
def test_the_engine_on_drawn_histories(part: int) -> None:
    assert _drawn("engine", range(SEED + part * _ENGINE, SEED + HISTORIES, _PARTS * _ENGINE)) == []


@pytest.mark.parametrize("part", range(_PARTS))
def test_the_rules_on_drawn_histories(part: int) -> None:
    assert _drawn("rules", range(SEED + part * _ENGINE, SEED + HISTORIES, _PARTS * _ENGINE)) == []


def _drawn(path: str, seeds: range) -> list[str]:
    """All faults of a path, each with the seed that draws its history."""
    return [str(found) for seed in seeds for found in faults_of(seed, [path])]


@pytest.mark.parametrize("name", NAMED)
def test_the_rules_on_named_histories(name: str) -> None:
    history = NAMED[name]()
    if name not in RULE_LIMITS:
        assert fault_by_rules(history, count_by_rules(history)) is None


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
        ours = counted_by_engine(history)
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
