"""What real fleets do to counters: each test makes samples of which it knows the events."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest
from numpy.typing import NDArray

from slo.promql.ast import Matcher, VectorSelector
from slo.promql.samples import Samples
from slo.sli.base import Measured
from slo.sli.counts import TARGET_LABELS, Grid
from slo.sli.latency import Latency
from slo.sli.ratio import Ratio

MINUTE, HOUR = 60_000, 3_600_000
SCRAPE = 30_000
RATIO = Ratio(VectorSelector("t"), VectorSelector("t", (Matcher("code", "=~", "5.."),)), "errors")
RATES = {"200": 9.9, "500": 0.1}  # events per second
END = 6 * HOUR
Floats = NDArray[np.float64]
Rows = list[tuple[dict[str, str], NDArray[np.int64], Floats]]


def scrapes(start_ms: int = 0, end_ms: int = END, every_ms: int = SCRAPE, phase_ms: int = 0) -> NDArray[np.int64]:
    return np.arange(start_ms + phase_ms, end_ms + 1, every_ms, dtype=np.int64)


def counter(times: NDArray[np.int64], rate: float, since_ms: int) -> Floats:
    """A process that began at `since_ms`."""
    return np.floor((times - since_ms) / 1000 * rate)


def row(
    code: str, times: NDArray[np.int64], values: Floats, **labels: str
) -> tuple[dict[str, str], NDArray[np.int64], Floats]:
    return {"__name__": "t", "job": "j", "instance": "a", "code": code, **labels}, times, values


def count(rows: Rows, sli: Ratio | Latency = RATIO) -> tuple[float, float, Measured]:
    """(errors, total, all that was found) from 1 h on."""
    grid = Grid(END, 5 * MINUTE, (END - HOUR) // (5 * MINUTE))
    counts = sli.count(Samples.from_series(rows), grid, TARGET_LABELS)
    return float(counts.counts.errors.sum()), float(counts.counts.total.sum()), counts


def within(errors: float, total: float, right_errors: float, right_total: float, less: float, more: float) -> bool:
    """Whether counts are right up to a share."""
    return all(
        right * (1 - less) <= came <= right * (1 + more)
        for came, right in ((errors, right_errors), (total, right_total))
    )


RIGHT = (0.1 * 5 * 3600, 10.0 * 5 * 3600)


@pytest.mark.parametrize("shown", [0.0, -1.0, -5e6, 1.8e19])
@pytest.mark.parametrize("scrapes_of_it", [1, 3])
def test_a_counter_that_shows_something_else_for_a_moment(shown: float, scrapes_of_it: int) -> None:
    rows: Rows = []
    for code, rate in RATES.items():
        values = counter(scrapes(), rate, -50 * HOUR)
        values[400 : 400 + scrapes_of_it] = shown
        rows.append(row(code, scrapes(), values))
    errors, total, counts = count(rows)
    assert (errors, total) == RIGHT
    assert counts.counts.seen.dropped == 2 * scrapes_of_it


def test_a_scrape_answered_from_a_stale_copy_counts_no_event_twice() -> None:
    rows: Rows = []
    for code, rate in RATES.items():
        values = counter(scrapes(), rate, -10 * HOUR)
        values[200:700:50] -= np.floor(45 * rate)
        rows.append(row(code, scrapes(), values))
    errors, total, _ = count(rows)
    assert within(errors, total, *RIGHT, 0.0, 0.02)


def test_a_young_process_that_restarts_under_a_burst_is_not_a_glitch() -> None:
    """The value before the fall is reached again within a scrape, as the traffic makes possible."""
    values = counter(scrapes(), 10, -50 * HOUR)
    values[300:] = np.concatenate([[500, 100, 800], 800 + 300.0 * np.arange(1, len(values) - 302)])
    _, total, _ = count([row("200", scrapes(), values)])
    from_one_hour_on = values[299] - values[120] + 500 + 100 + 700 + values[-1] - 800
    assert total == from_one_hour_on


def test_a_job_that_restarts_before_each_run_counts_every_run() -> None:
    """Between runs it shows 0, and a whole run comes in one scrape."""
    run = np.concatenate([np.zeros(2), np.full(118, 1000.0)])
    _, total, _ = count([row("200", scrapes()[:720], np.tile(run, 6))])
    assert total == 5 * 1000


@pytest.mark.parametrize(("workers", "life"), [(8, 8 * HOUR), (8, 40 * MINUTE), (2, 10 * MINUTE)])
def test_a_sum_over_worker_processes_counts_no_life_twice(workers: int, life: int) -> None:
    """It falls by what the one had that ended: 4 times as many events were counted, once."""
    rows: Rows = []
    for code, rate in RATES.items():
        ages = [(scrapes() + i * life // workers) % life for i in range(workers)]
        rows.append(row(code, scrapes(), np.sum([np.floor(age / 1000 * rate / workers) for age in ages], axis=0)))
    errors, total, counts = count(rows)
    assert within(errors, total, *RIGHT, 0.15, 0.0)
    assert counts.counts.seen.doubt_events > 0


def test_a_process_that_restarts_into_a_burst_is_not_a_sum() -> None:
    """Its errors are half of what they were, as all fails at once; another series says that it began anew."""
    ok = np.concatenate([np.full(299, 30.0), np.zeros(len(scrapes()) - 299)])
    failed = np.concatenate([135 + 4 * np.arange(-298.0, 1), 118.0 + 4 * np.arange(len(scrapes()) - 299)]).clip(0)
    errors, _, _ = count([row("200", scrapes(), ok), row("500", scrapes(), failed)])
    assert errors == 135 + 118 + 4 * (len(scrapes()) - 300)


@pytest.mark.parametrize("life", [10 * MINUTE, 20 * MINUTE, 5 * HOUR, 240 * HOUR])
def test_a_relabelled_instance_goes_on(life: int) -> None:
    """Of four targets; with lives of minutes their whole lives were within twice the traffic of a quarter of an hour."""
    change, rows, right = 3 * HOUR, [], np.zeros(2)
    for i in range(4):
        for code, rate in RATES.items():
            began = change - life
            old = scrapes()[scrapes() < began]
            new = scrapes()[(scrapes() >= began)]
            values = counter(new, rate, began)
            before = counter(old, rate, -HOUR)
            if len(old):
                rows.append(
                    row(
                        code,
                        np.concatenate([old, new[new < change]]),
                        np.concatenate([before, values[new < change]]),
                        instance=f"10.0.0.{i}",
                    )
                )
            else:
                rows.append(row(code, new[new < change], values[new < change], instance=f"10.0.0.{i}"))
            rows.append(row(code, new[new >= change], values[new >= change], instance=f"pod-{i}"))
            gained = values[-1] - (values[new == HOUR][0] if began <= HOUR else 0)
            gained += before[-1] - before[old == HOUR][0] if began > HOUR else 0
            right += np.array([gained if code == "500" else 0, gained])
    errors, total, counts = count(rows)
    assert (errors, total) == tuple(right)
    assert counts.counts.seen.continued == 8


def test_a_pod_that_replaces_another_starts_at_zero() -> None:
    rows: Rows = []
    for code, rate in RATES.items():
        old, new = scrapes(end_ms=3 * HOUR), scrapes(start_ms=3 * HOUR + SCRAPE)
        rows += [
            row(code, old, counter(old, rate, 0)),
            row(code, new, counter(new, rate, 3 * HOUR + 1000), instance="b"),
        ]
    errors, total, _ = count(rows)
    lost = 1.0  # the second between the two
    assert (errors, total) == pytest.approx((RIGHT[0] - 0.1 * lost, RIGHT[1] - 10 * lost), abs=2)


def test_a_job_that_comes_back_after_hours_says_what_it_cannot_know() -> None:
    rows = [row("200", scrapes(i * 3 * HOUR, i * 3 * HOUR), np.array([500.0]), instance=f"run-{i}") for i in range(2)]
    _, total, counts = count(rows)
    assert (total, counts.counts.seen.doubt_events, counts.counts.seen.without_baseline) == (0, 500, 1)


def histogram(path: str, bounds: dict[str, float], since_ms: dict[str, int] | None = None) -> Rows:
    """10 requests a second, of which shares lie within bounds."""
    labels = {"job": "j", "instance": "a", "path": path}
    whole = counter(scrapes(), 10, -HOUR)
    rows: Rows = [({"__name__": "h_count", **labels}, scrapes(), whole)]
    for bound, share in bounds.items():
        there = scrapes() >= (since_ms or {}).get(bound, 0)
        rows.append(({"__name__": "h_bucket", "le": bound, **labels}, scrapes()[there], np.floor(whole * share)[there]))
    return rows


LATENCY = Latency(VectorSelector("h"), Decimal("0.25"))
OF_A = (0.1 * 10 * 5 * 3600, 10 * 5 * 3600)


@pytest.mark.parametrize("other", [{}, {"0.5": 0.93, "+Inf": 1.0}], ids=["no buckets", "other buckets"])
def test_a_label_set_without_the_bound_is_not_slow(other: dict[str, float]) -> None:
    """Histograms of one name in one target may have a layout each."""
    rows = histogram("/a", {"0.25": 0.9, "+Inf": 1.0}) + histogram("/b", other)
    errors, total, counts = count(rows, LATENCY)
    assert (errors, total) == OF_A
    assert [(note.code, "path=/b" in note.text, "path=/a" in note.text) for note in counts.notes] == [
        ("bound-missing", True, False)
    ]


@pytest.mark.parametrize(("many", "said"), [(3, "path=/3"), (4, "path=/3 and 1 more"), (5, "path=/3 and 2 more")])
def test_three_label_sets_without_the_bound_are_named(many: int, said: str) -> None:
    rows = histogram("/a", {"0.25": 0.9, "+Inf": 1.0})
    for path in range(1, many + 1):
        rows += histogram(f"/{path}", {"+Inf": 1.0})
    [note] = count(rows, LATENCY)[2].notes
    assert note.text.endswith(said)


@pytest.mark.parametrize(("scrapes_late", "codes"), [(0, []), (3, []), (4, ["bound-missing"])])
def test_a_bucket_that_is_missing_for_a_few_scrapes_needs_no_note(scrapes_late: int, codes: list[str]) -> None:
    late = histogram("/a", {"0.25": 0.9, "+Inf": 1.0}, {"0.25": scrapes_late * SCRAPE})
    _, _, counts = count(late, LATENCY)
    assert [note.code for note in counts.notes] == codes


def test_a_bound_that_comes_later_makes_nothing_slow_before() -> None:
    rows = histogram("/a", {"0.25": 0.9, "+Inf": 1.0}) + histogram("/b", {"0.25": 0.9, "+Inf": 1.0}, {"0.25": 3 * HOUR})
    errors, total, counts = count(rows, LATENCY)
    assert (errors, total) == (OF_A[0] * 1.6, OF_A[1] * 1.6)
    assert [note.code for note in counts.notes] == ["bound-missing"]


def _slower_scrapes(i: int) -> NDArray[np.int64]:
    return np.concatenate([scrapes(0, 3 * HOUR, 10_000, 700 * i), scrapes(3 * HOUR, END, MINUTE, 2900 * i + 10_000)])


def _time_outs(i: int) -> NDArray[np.int64]:
    times = scrapes(0, END, MINUTE, 2900 * i)
    return times[np.random.default_rng(i).random(len(times)) > 0.2]


@pytest.mark.parametrize("of", [_slower_scrapes, _time_outs])
def test_hosts_without_job_and_instance(of: Callable[[int], NDArray[np.int64]]) -> None:
    """All are one target; a scrape interval that changed took minutes to count, once."""
    rows: Rows = []
    right = 0.0
    for i in range(20):
        values = counter(of(i), 10, -50 * HOUR)
        rows.append(({"__name__": "t", "code": "200", "host": f"h{i}"}, of(i), values))
        right += values[-1] - values[of(i) <= HOUR][-1]
    _, total, _ = count(rows)
    assert total == right


def test_a_crash_loop_of_a_month_is_counted_in_seconds() -> None:
    """50,000 falls: what each life shows is what counts. Found by a limit, not by a clock: no fall is looked at alone."""
    values = np.tile([10.0, 25.0, 40.0], 50_000)
    times = np.arange(len(values), dtype=np.int64) * 15_000
    grid = Grid(int(times[-1]), int(times[-1]), 1)
    counts = RATIO.count(Samples.from_series([row("200", times, values)]), grid, TARGET_LABELS)
    assert counts.counts.total.tolist() == [50_000 * 40 - 10]
    assert counts.counts.seen.resets == 49_999
