"""One history, four ways to its figures: raw samples, recorded series, the ledger, and workers of a cluster. And what happened, which is known."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slo.backfill import filled
from slo.budget.model import State
from slo.cli.spreading import review as spread_review
from slo.ledger import Ledger
from slo.ledger.job import update
from slo.ledger.sums import sums
from slo.promql.samples import Samples, Series
from slo.review import review
from slo.source import open as open_source
from slo.source.recording import Header, write
from slo.spec.load import load_text
from slo.spec.select import Selection
from slo.window import DAY, HOUR, MINUTE, parse_moment
from tests.memory import Server

DEFINITION = """\
service: shop
defaults: {window: 1d}
slos:
  - {name: ratio, objective: 99, sli: {ratio: {errors: 'r_total{code="500"}', total: r_total}}}
  - {name: good, objective: 99.5, sli: {ratio: {good: 'r_total{code="200"}', total: r_total}}}
  - {name: latency, objective: 97.5, sli: {latency: {histogram: d_seconds, threshold: 500ms}}}
"""
SPECS = load_text(DEFINITION, "shop.yaml")
END = parse_moment("2026-03-04T00:00:00Z")
WHOLE = END + 10 * MINUTE  # by then the last tile of the day is recorded


def history() -> tuple[Samples, dict[str, tuple[int, int]]]:
    """Two targets with traffic from two to ten o'clock, an outage, and a restart of one; and the bad and all events of each SLO.

    Where windows and tiles begin and end nothing happens, so that every way has all of it.
    """
    rng, series = np.random.default_rng(11), []
    bad_total = slow_total = total = 0
    for instance in ("a", "b"):
        times = np.arange(END - 30 * HOUR, WHOLE + 1, 30_000)
        hour = (times - (END - DAY)) / HOUR
        load = np.where((hour > 2) & (hour < 22), rng.poisson(25, len(times)), 0)
        bad = rng.binomial(load, np.where((hour > 5) & (hour < 5.5), 0.3, 0.001))
        slow = rng.binomial(load, 0.01)
        for name, label, value, events in (
            ("r_total", "code", "200", load - bad), ("r_total", "code", "500", bad),
            ("d_seconds_bucket", "le", "0.5", load - slow), ("d_seconds_bucket", "le", "+Inf", load), ("d_seconds_count", "", "", load),
        ):  # fmt: skip
            counted = 1000 + np.cumsum(events).astype(float)
            if instance == "a":
                counted[2000:] -= counted[1999]
            labels = {"__name__": name, "job": "shop", "instance": instance} | ({label: value} if label else {})
            series.append(Series(labels, times, counted))
        bad_total, slow_total, total = bad_total + bad.sum(), slow_total + slow.sum(), total + load.sum()
    assert bad_total > 300
    return Samples(series), {
        "shop/ratio": (bad_total, total), "shop/good": (bad_total, total), "shop/latency": (slow_total, total)
    }  # fmt: skip


def test_raw_recorded_ledger_and_workers_give_the_same_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, happened = history()
    file = tmp_path / "raw.parquet"
    write(file, raw, Header(END - 30 * HOUR, WHOLE, "simulated"))
    slos = list(SPECS.values())
    recorded = [one for slo in slos for one in filled(slo, Server(raw, WHOLE), END - 28 * HOUR, WHOLE).series]

    def spread(work: Any, items: Any, scheduler: str, advance: Any, after: Any) -> list[Any]:
        return [pickle.loads(pickle.dumps(work(pickle.loads(pickle.dumps(item))))) for item in items]  # noqa: S301

    monkeypatch.setattr("slo.spread.spread", spread)
    monkeypatch.setattr("slo.spread.parts", lambda items: [tuple(items[:2]), tuple(items[2:])])
    update(slos, open_source(str(file)), tmp_path / "ledger", END - DAY, END)
    budgets = {
        "raw": review(slos, open_source(str(file)), at=END),
        "stepwise": review(slos, Server(raw, END), at=END, read="raw"),
        # Without raw samples there is nothing else that it could be from.
        "recorded": review(slos, Server(Samples(recorded), WHOLE), at=END, read="recorded"),
        "workers": spread_review(SPECS, [str(file)], None, END, Selection(), frozenset(State), (), "tcp://here:1"),
    }
    rows = {row.slo: row.whole for row in sums(Ledger(tmp_path / "ledger").store, (END - DAY, END))}
    for name, events in happened.items():
        figures = {way: found[name] for way, found in budgets.items()}
        counted = {way: (budget.errors, budget.total) for way, budget in figures.items()}
        counted["ledger"] = rows[name].errors, rows[name].total
        assert counted == dict.fromkeys(counted, events)
        remaining = {way: budget.remaining for way, budget in figures.items()} | {"ledger": rows[name].remaining}
        allowed = events[1] * (1 - float(SPECS[name].objective.ratio))
        assert remaining == pytest.approx(dict.fromkeys(remaining, 1 - events[0] / allowed), rel=1e-12)
