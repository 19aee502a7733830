"""The simulation: What it says of itself, alongside a second way of counting; and what its series look like."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slo.errors import SloError
from slo.promql.samples import Samples, is_stale
from slo.source.openmetrics import write_openmetrics
from slo.source.recording import Header
from slo.source.simulation import simulate
from slo.source.simulation.histograms import show_bound
from slo.spec.load import load
from slo.spec.model import Specs
from slo.window import DAY, HOUR
from tests.servers import Prometheus, load_openmetrics

DEFINITIONS = Path(__file__).parent.parent.parent / "definitions"
END = 1_790_000_000_000 // DAY * DAY
DAYS = 2.0

Labels = Mapping[str, str]
Picked = Callable[[Labels], int]  # the weight of a series in a sum


@dataclass(frozen=True)
class Case:
    """SLIs of one service as YAML, and for the first of them by hand: which series add up to its errors and total."""

    slis: tuple[str, ...]
    errors: Picked
    total: Picked
    objective: str = "99"


def named(name: str, **exact: str) -> Picked:
    return lambda labels: int(labels["__name__"] == name and all(labels.get(k) == v for k, v in exact.items()))


def minus(one: Picked, other: Picked) -> Picked:
    return lambda labels: one(labels) - other(labels)


def plus(one: Picked, other: Picked) -> Picked:
    return lambda labels: one(labels) + other(labels)


def failed(name: str, **exact: str) -> Picked:
    return lambda labels: named(name, **exact)(labels) * labels.get("status", "").startswith("5")


CASES = {
    "errors by status": Case(
        ("""ratio: {errors: 'hits_total{job="a",status=~"5.."}', total: 'hits_total{job="a"}'}""",),
        failed("hits_total"),
        named("hits_total"),
    ),
    "good of a path": Case(
        (
            """ratio: {good: 'hits_total{job="a",path="/x",status=~"2..|3..|4.."}', total: 'hits_total{path="/x",job="a"}'}""",
            """ratio: {errors: 'hits_total{job="a",status=~"5.."}', total: 'hits_total{job="a"}'}""",
        ),
        lambda labels: named("hits_total", path="/x")(labels) * (labels["status"][0] not in "234"),
        named("hits_total", path="/x"),
    ),
    "errors of a metric of their own": Case(
        ("""ratio: {errors: 'bad_total{job="a"}', total: 'hits_total{job="a"}'}""",),
        named("bad_total"),
        named("hits_total"),
    ),
    "good of a metric of their own": Case(
        ("""ratio: {good: 'fine_total{job="a"}', total: 'hits_total{job="a"}'}""",),
        minus(named("hits_total"), named("fine_total")),
        named("hits_total"),
        "90",
    ),
    "latency": Case(
        ("""latency: {histogram: 'took_seconds{job="a"}', threshold: 500ms}""",),
        minus(named("took_seconds_bucket", le="+Inf"), named("took_seconds_bucket", le="0.5")),
        named("took_seconds_bucket", le="+Inf"),
    ),
    "latency whose count is another's total": Case(
        (
            """latency: {histogram: 'took_seconds{job="a"}', threshold: 500ms}""",
            """ratio: {errors: 'took_seconds_count{job="a",status=~"5.."}', total: 'took_seconds_count{job="a"}'}""",
        ),
        minus(named("took_seconds_count"), named("took_seconds_bucket", le="0.5")),
        named("took_seconds_count"),
    ),
    "a bucket that is good": Case(
        (
            """ratio: {good: 'took_seconds_bucket{job="a",le="1"}', total: 'took_seconds_count{job="a"}'}""",
            """latency: {histogram: 'took_seconds{job="a"}', threshold: 250ms}""",
        ),
        minus(named("took_seconds_count"), named("took_seconds_bucket", le="1.0")),
        named("took_seconds_count"),
    ),
    "raw": Case(
        (
            """raw:
        errors: 'sum(increase(hits_total{job="a",status=~"5.."}[$window])) or vector(0)'
        total: 'sum(increase(hits_total{job="a"}[$window]))'""",
        ),
        failed("hits_total"),
        named("hits_total"),
    ),
    "raw of bad and good": Case(
        (
            """raw:
        errors: 'sum(increase(bad_total{job="a"}[$window]))'
        total: 'sum(increase(bad_total{job="a"}[$window])) + sum(increase(fine_total{job="a"}[$window]))'""",
        ),
        named("bad_total"),
        plus(named("bad_total"), named("fine_total")),
    ),
    "raw of one metric's bad and good": Case(
        (
            """raw:
        errors: 'sum(rate(hits_total{job="a",status=~"5.."}[$window]))'
        total: 'sum(rate(hits_total{job="a",status!~"5.."}[$window]) + rate(hits_total{job="a",status=~"5.."}[$window]))'""",
        ),
        failed("hits_total"),
        named("hits_total"),
    ),
    "raw latency": Case(
        (
            """raw:
        errors: >-
          sum(increase(took_seconds_count{job="a"}[$window]))
          - sum(increase(took_seconds_bucket{job="a",le=~"1|1[.]0"}[$window]))
        total: 'sum(increase(took_seconds_count{job="a"}[$window]))'""",
        ),
        minus(named("took_seconds_count"), named("took_seconds_bucket", le="1.0")),
        named("took_seconds_count"),
    ),
}
CHECKS = {
    "up": Case(("probe: {metric: 'up{job=\"a\"}'}",), named("up"), named("up")),
    "a probe": Case(("probe: {metric: probe_success}",), named("probe_success"), named("probe_success")),
    "raw checks": Case(
        (
            """raw:
        errors: 'sum(count_over_time(up{job="a"}[$window])) - sum(sum_over_time(up{job="a"}[$window]))'
        total: 'sum(count_over_time(up{job="a"}[$window]))'""",
        ),
        named("up"),
        named("up"),
    ),
}


def specs_of(place: Path, case: Case) -> Specs:
    text = "service: shop\ndefaults: {window: 1d, scrape_interval: 1m}\nslos:\n"
    for number, sli in enumerate(case.slis):
        text += f"  - name: s{number}\n    objective: {case.objective}\n    sli:\n      {sli}\n"
    (place / "shop.yaml").write_text(text)
    return load(place / "shop.yaml")


def recounted(samples: Samples, weight: Picked, known: Picked) -> dict[int, int]:
    """What scrapes reveal, by the hour that ends at the key: sample by sample, in plain Python.

    `known` weighs the series that tell when a target was first scraped.
    """
    first: dict[tuple[str | None, str | None], int] = {}
    series = [
        (dict(s.labels), s.times.tolist(), s.values.tolist(), is_stale(s.values).tolist()) for s in samples.series
    ]
    for labels, times, _, stale in series:
        if known(labels):
            target = labels.get("job"), labels.get("instance")
            for at, ended in zip(times, stale, strict=True):
                if not ended:
                    first[target] = min(first.get(target, at), at)
                    break
    counts: dict[int, int] = defaultdict(int)
    for labels, times, values, stale in series:
        if not weight(labels):
            continue
        before: float | None = None
        for at, value, ended in zip(times, values, stale, strict=True):
            if ended:
                continue
            if before is None:
                new = value if at > first[labels.get("job"), labels.get("instance")] else 0
            else:
                new = value if value < before else value - before
            before = value
            counts[math.ceil(at / HOUR) * HOUR] += weight(labels) * int(new)
    return {hour: count for hour, count in counts.items() if count}


def reported_hourly(reported: Mapping[str, Any], key: str) -> dict[int, int]:
    start = reported["hour_start_ms"]
    return {start + (n + 1) * HOUR: count for n, count in enumerate(reported[key]) if count}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_scrapes_reveal_is_what_a_plain_recount_finds(tmp_path: Path, name: str, seed: int) -> None:
    case = CASES[name]
    samples, header = simulate(specs_of(tmp_path, case), days=DAYS, seed=seed, end_ms=END)
    reported = header.truth["slos"]["shop/s0"]
    either: Picked = lambda labels: abs(case.errors(labels)) + abs(case.total(labels))  # noqa: E731
    errors, total = recounted(samples, case.errors, either), recounted(samples, case.total, either)
    assert reported_hourly(reported["revealed"], "hourly_total") == total
    assert reported_hourly(reported["revealed"], "hourly_errors") == errors
    assert (reported["revealed"]["errors"], reported["revealed"]["total"]) == (
        sum(errors.values()),
        sum(total.values()),
    )
    # Nothing is revealed that did not happen, and restarts take little.
    assert 0 < reported["revealed"]["errors"] <= reported["errors"] < reported["total"]
    assert 0.99 * reported["total"] < reported["revealed"]["total"] < reported["total"]


@pytest.mark.parametrize("name", CHECKS)
def test_each_sample_of_a_probe_is_a_check(tmp_path: Path, name: str) -> None:
    case = CHECKS[name]
    samples, header = simulate(specs_of(tmp_path, case), days=DAYS, seed=1, end_ms=END)
    checks = [
        value
        for series in samples.series
        if case.total(series.labels)
        for value in series.values[~is_stale(series.values)].tolist()
    ]
    reported = header.truth["slos"]["shop/s0"]
    assert (reported["errors"], reported["total"]) == (sum(value != 1 for value in checks), len(checks))
    assert (reported["revealed"]["errors"], reported["revealed"]["total"]) == (reported["errors"], reported["total"])
    assert set(checks) == {0.0, 1.0}


@pytest.fixture(scope="module")
def all_of_it() -> tuple[Specs, Samples, Header]:
    specs = load(DEFINITIONS)
    return (specs, *simulate(specs, days=1.25, seed=5, end_ms=END))


def test_every_selector_of_every_definition_has_series(all_of_it: tuple[Specs, Samples, Header]) -> None:
    specs, samples, _ = all_of_it
    for slo in specs.values():
        for selector in slo.sli.selectors():
            assert samples.select(selector), (slo.id, str(selector))


def test_samples_lie_within_the_days_asked_for(all_of_it: tuple[Specs, Samples, Header]) -> None:
    _, samples, header = all_of_it
    assert (header.start_ms, header.end_ms) == (END - round(1.25 * DAY), END)
    assert samples.start_ms is not None
    assert samples.end_ms is not None
    assert header.start_ms < samples.start_ms < header.start_ms + 10 * 60_000
    assert header.end_ms - 10 * 60_000 < samples.end_ms <= header.end_ms


def test_counters_hold_whole_events_and_fall_only_where_a_process_restarted(
    all_of_it: tuple[Specs, Samples, Header],
) -> None:
    _, samples, header = all_of_it
    restarts = {(r["job"], r["instance"], r["at_ms"]) for r in header.truth["restarts"]}
    fell = 0
    for series in samples.series:
        if not series.labels["__name__"].endswith(("_total", "_bucket", "_count")):
            continue
        held = ~is_stale(series.values)
        times, values = series.times[held], series.values[held]
        assert (values == np.floor(values)).all()
        assert (values >= 0).all()
        target = series.labels.get("job", ""), series.labels["instance"]
        own = sorted(at for job, instance, at in restarts if (job, instance) == target)
        for index in np.flatnonzero(np.diff(values) < 0).tolist():
            # A series that comes with its first event falls when it comes again.
            assert any(times[index] < at <= times[index + 1] for at in own), (series.labels, int(times[index + 1]))
            fell += 1
    assert fell > 20


def test_buckets_hold_no_more_than_wider_ones(tmp_path: Path) -> None:
    specs = specs_of(tmp_path, CASES["latency whose count is another's total"])
    samples, _ = simulate(specs, days=DAYS, seed=3, end_ms=END)
    samples_by_labels: dict[tuple[tuple[str, str], ...], list[tuple[float, Any]]] = defaultdict(list)
    counts = {}
    for series in samples.series:
        rest = tuple(sorted((k, v) for k, v in series.labels.items() if k not in ("le", "__name__")))
        if series.labels["__name__"] == "took_seconds_bucket":
            samples_by_labels[rest].append((float(series.labels["le"]), series))
        else:
            counts[rest] = series
    assert samples_by_labels.keys() == counts.keys()
    assert len(samples_by_labels) > 8
    for rest, buckets in samples_by_labels.items():
        ordered = [series for _, series in sorted(buckets, key=lambda bucket: bucket[0])]
        assert len(ordered) >= 4
        for narrow, wide in itertools.pairwise(ordered):
            assert (narrow.times == wide.times).all()
            held = ~is_stale(wide.values)
            assert (narrow.values[held] <= wide.values[held]).all()
        assert ordered[-1].values.tobytes() == counts[rest].values.tobytes()


MEAN = """\
service: shop
slos:
  - name: fast
    objective: 95
    sli: {latency: {histogram: 'took_seconds{job="a"}', threshold: 500ms}}
  - name: mean
    objective: 95
    sli:
      threshold:
        value: sum(rate(took_seconds_sum{job="a"}[5m])) / sum(rate(took_seconds_count{job="a"}[5m]))
        below: 2
"""


def test_a_sum_of_seconds_comes_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(MEAN)
    samples, _ = simulate(load(tmp_path), days=DAYS, seed=3, end_ms=END)
    series = {(s.labels["__name__"], s.labels["instance"], s.labels.get("le")): s for s in samples.series}
    for instance in {row for _, row, _ in series}:
        seconds, count = series["took_seconds_sum", instance, None], series["took_seconds_count", instance, None]
        assert (seconds.times == count.times).all()
        held = ~is_stale(count.values)
        grown, requests = np.diff(seconds.values[held]), np.diff(count.values[held])
        same = (requests >= 0) & (grown >= 0)
        assert same.sum() > 0.99 * len(grown)
        mean = grown[same].sum() / requests[same].sum()
        assert 0.05 < mean < 0.6


def series_of(samples: Samples) -> dict[tuple[tuple[str, str], ...], tuple[bytes, bytes]]:
    return {tuple(sorted(s.labels.items())): (s.times.tobytes(), s.values.tobytes()) for s in samples.series}


def test_a_seed_says_it_all_and_the_order_of_definitions_nothing() -> None:
    paths = [DEFINITIONS / f"{name}.yaml" for name in ("faciliauto", "hitl-api", "prometheus")]
    forwards, backwards = load(paths), load(paths[::-1])
    assert list(forwards) != list(backwards)
    first, header = simulate(forwards, days=1, seed=1, end_ms=END)
    again, header_again = simulate(backwards, days=1, seed=1, end_ms=END)
    other, _ = simulate(forwards, days=1, seed=2, end_ms=END)
    assert series_of(first) == series_of(again)
    assert header == header_again
    assert series_of(first).keys() == series_of(other).keys()
    assert series_of(first) != series_of(other)


def test_incidents_hold_their_events_to_the_event(tmp_path: Path) -> None:
    """A full outage leaves no good event: errors and total of the incident are one number."""
    specs = specs_of(tmp_path, CASES["errors by status"])
    outages = []
    for seed in range(1, 6):
        _, header = simulate(specs, days=DAYS, seed=seed, end_ms=END)
        reported = header.truth["slos"]["shop/s0"]
        incidents = header.truth["incidents"]
        assert sum(i["errors"] for i in incidents) <= reported["errors"]
        outages += [i for i in incidents if i["kind"] == "outage" and i["total"] and i["errors"] == i["total"]]
        for incident in incidents:
            assert header.start_ms < incident["start_ms"] < incident["end_ms"] <= END
            assert incident["errors"] > 0.015 * incident["total"], incident
    assert len(outages) >= 5


def test_dropouts_are_the_failed_scrapes_of_single_targets(all_of_it: tuple[Specs, Samples, Header]) -> None:
    _, samples, header = all_of_it
    dropouts = header.truth["dropouts"]
    assert dropouts
    for dropout in dropouts:
        target = ("up", dropout["job"], dropout["instance"])
        for up in samples.series:
            if (up.labels["__name__"], up.labels["job"], up.labels["instance"]) != target:
                continue
            inside = (up.times >= dropout["start_ms"]) & (up.times <= dropout["end_ms"])
            assert inside.any() and not up.values[inside].any()


def test_without_incidents_only_steady_errors_are_left(tmp_path: Path) -> None:
    specs = specs_of(tmp_path, CASES["errors by status"])
    _, header = simulate(specs, days=DAYS, seed=1, end_ms=END, incidents=False)
    reported = header.truth["slos"]["shop/s0"]
    assert header.truth["incidents"] == []
    assert 0 < reported["errors"] < 0.5 * 0.01 * reported["total"]


def test_a_scrape_gap_lies_within_an_incident(tmp_path: Path) -> None:
    samples, header = simulate(specs_of(tmp_path, CASES["errors by status"]), days=20, seed=4, end_ms=END)
    (within,) = [gap for gap in header.truth["gaps"] if gap["kind"] == "gap within an incident"]
    assert any(i["start_ms"] < within["start_ms"] and within["end_ms"] < i["end_ms"] for i in header.truth["incidents"])
    for gap in header.truth["gaps"]:
        assert gap["end_ms"] - gap["start_ms"] == 600_000
        for series in samples.series:
            assert not ((series.times > gap["start_ms"]) & (series.times <= gap["end_ms"])).any()


@pytest.mark.parametrize(
    ("sli", "said"),
    [
        ("raw: {errors: 'max(hits_total offset $window)', total: 'sum(increase(a_total[$window]))'}", "max"),
        (
            "raw: {errors: 'sum(increase(a_total[$window])) * 2', total: 'sum(increase(b_total[$window]))'}",
            r"a_total.* \* 2",
        ),
        (
            "raw: {errors: 'sum(increase(a_total[$window]))', total: 'sum(increase(a_total[$window]))'}",
            "not errors of one total",
        ),
        (
            """ratio: {good: 'x_bucket{le="1",code="200"}', total: x_count}""",
            "x_bucket.* is not a bucket of what x_count counts",
        ),
        ("""ratio: {errors: 'x_total{a=~"b",a=~"c"}', total: x_total}""", "no value was found for"),
    ],
)
def test_what_cannot_be_simulated_is_refused_by_name(tmp_path: Path, sli: str, said: str) -> None:
    specs = specs_of(tmp_path, Case((sli,), named(""), named("")))
    with pytest.raises(SloError, match=said) as refused:
        simulate(specs, days=1, seed=1, end_ms=END)
    assert "shop/s0" in str(refused.value) or "x_total" in str(refused.value)


def test_hostile_label_values_are_kept(tmp_path: Path) -> None:
    job = 'a"b\\c\n</script>{}'
    quoted = job.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    total = f'hits_total{{job="{quoted}"}}'
    errors = f'hits_total{{job="{quoted}",status=~"5.."}}'
    block = f"ratio:\n        errors: |-\n          {errors}\n        total: |-\n          {total}"
    samples, header = simulate(specs_of(tmp_path, Case((block,), named(""), named(""))), days=1, seed=1, end_ms=END)
    assert {series.labels["job"] for series in samples.series} == {job}
    assert header.truth["slos"]["shop/s0"]["errors"] > 0


# Fixed by Go's way of writing floats, which Prometheus 3 uses for `le`.
BOUNDS = ("0.00005", "0.0001", "0.005", "0.5", "1", "2.5", "10", "300", "123456.5", "1000000", "2500000")


@pytest.mark.server
def test_bounds_are_spelled_as_a_server_spells_them(tmp_path: Path) -> None:
    lines = [f'x_bucket{{le="{bound}"}} 1 1700000000\n' for bound in BOUNDS]
    text = "# TYPE x histogram\n" + "".join(lines) + 'x_bucket{le="+Inf"} 1 1700000000\n# EOF\n'
    (tmp_path / "x.txt").write_text(text)
    with Prometheus(tmp_path, data=load_openmetrics(tmp_path / "x.txt", tmp_path / "data")) as server:
        spelled = {series["metric"]["le"] for series in server.query("x_bucket", 1_700_000_000)}
    assert spelled == {show_bound(Decimal(bound)) for bound in BOUNDS} | {"+Inf"}


@pytest.mark.server
def test_a_real_prometheus_holds_the_same_samples_and_events(tmp_path: Path) -> None:
    specs = specs_of(tmp_path, CASES["latency whose count is another's total"])
    samples, header = simulate(specs, days=1, seed=2, end_ms=END)
    write_openmetrics(tmp_path / "history.txt", samples)
    with Prometheus(tmp_path, data=load_openmetrics(tmp_path / "history.txt", tmp_path / "data")) as server:
        actual = {
            tuple(sorted(series["metric"].items())): [(round(1000 * t), float(v)) for t, v in series["values"]]
            for name in ("took_seconds_count", "took_seconds_bucket")
            for series in server.query(f"{name}[2d]", END / 1000)
        }
    expected = {}
    for series in samples.series:
        held = ~is_stale(series.values)
        pairs = list(zip(series.times[held].tolist(), series.values[held].tolist(), strict=True))
        if pairs:
            expected[tuple(sorted(series.labels.items()))] = pairs
    assert actual == expected
    loaded = Samples.from_series(
        (dict(labels), [at for at, _ in pairs], [value for _, value in pairs]) for labels, pairs in actual.items()
    )
    total = named("took_seconds_count")
    good = named("took_seconds_bucket", le="0.5")
    reported = header.truth["slos"]["shop/s0"]["revealed"]
    assert recounted(loaded, total, total) == reported_hourly(reported, "hourly_total")
    assert recounted(loaded, minus(total, good), total) == reported_hourly(reported, "hourly_errors")
