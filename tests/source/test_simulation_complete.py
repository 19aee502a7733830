"""A simulation makes every series that an SLO selects, or refuses the SLO by name, file and line."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slo.backtest import planted
from slo.budget.evaluate import evaluate_all
from slo.errors import SloError
from slo.promql.parse import parse_selector
from slo.promql.samples import Samples, is_stale
from slo.sli.ratio import Ratio
from slo.source.recording import Recording, write
from slo.source.simulation import simulate
from slo.source.simulation.context import MAX_SAMPLES
from slo.source.simulation.scenario import read_scenario
from slo.spec.load import load
from slo.spec.model import Specs
from slo.window import DAY, HOUR

END = 1_790_000_000_000 // DAY * DAY


def specs_of(place: Path, slis: Sequence[str], objective: str = "99", interval: str = "5m") -> Specs:
    text = f"service: shop\ndefaults: {{window: 1d, scrape_interval: {interval}}}\nslos:\n" + "".join(
        f"  - name: s{number:04}\n    objective: {objective}\n    sli: {sli}\n" for number, sli in enumerate(slis)
    )
    (place / "shop.yaml").write_text(text)
    return load(place / "shop.yaml")


def without_data(specs: Specs, samples: Samples) -> list[tuple[str, str]]:
    return [
        (slo.id, str(selector))
        for slo in specs.values()
        for selector in slo.sli.selectors()
        if not any((~is_stale(series.values)).any() for series in samples.select(selector))
    ]


def routes(count: int) -> list[str]:
    return [
        f"""{{ratio: {{errors: 'hits_total{{route="/r{n}",code=~"5.."}}', total: 'hits_total{{route="/r{n}"}}'}}}}"""
        for n in range(count)
    ]


def test_150_slos_on_one_metric_each_have_their_events_and_incidents(tmp_path: Path) -> None:
    """The product of their labels' values is 760 label sets; each SLO needs two."""
    overall = "{ratio: {errors: 'hits_total{code=~\"5..\"}', total: hits_total}}"
    specs = specs_of(tmp_path, [overall, *routes(150)], interval="2m")
    samples, header = simulate(specs, days=2, seed=1, end_ms=END)
    assert not without_data(specs, samples)
    truth = header.truth["slos"]
    assert min(truth[name]["errors"] for name in specs) > 0
    # An outage of a route is one: what its truth says that it did, it did.
    outages = [
        incident for incident in header.truth["incidents"] if incident["kind"] == "outage" and incident["total"] > 20
    ]
    assert len({outage["slo"] for outage in outages}) > 50
    alone = [outage for outage in outages if outage["slo"] != "shop/s0000"]
    assert np.median([outage["errors"] / outage["total"] for outage in alone]) > 0.9
    # By hand, for one of them: all that its selectors select, summed.
    total, errors = (parse_selector(f'hits_total{{route="/r77"{code}}}') for code in ("", ',code=~"5.."'))
    for selector, key in ((total, "total"), (errors, "errors")):
        gained = 0.0
        for series in samples.select(selector):
            values = series.values[~is_stale(series.values)]
            steps = np.diff(values)
            gained += float(np.where(steps < 0, values[1:], steps).sum())
            gained += float(values[0]) if key == "errors" and len(values) and values[0] < 1000 else 0.0
        assert gained == pytest.approx(truth["shop/s0078"]["revealed"][key], rel=0.02, abs=2)


def test_very_many_slos_on_one_metric_all_have_data(tmp_path: Path) -> None:
    """A thousand in `make slow`."""
    many = 1000 if "SLO_SLOW" in os.environ else 250
    specs = specs_of(tmp_path, routes(many))
    samples, _ = simulate(specs, days=0.5, seed=1, end_ms=END)
    held = [series.labels for series in samples.series if (~is_stale(series.values)).any()]
    failing = {labels["route"] for labels in held if labels["code"].startswith("5")}
    fine = {labels["route"] for labels in held if not labels["code"].startswith("5")}
    assert {f"/r{n}" for n in range(many)} <= failing & fine


def test_what_is_too_much_is_refused_by_name_with_the_limit_and_what_to_do(tmp_path: Path) -> None:
    specs = specs_of(tmp_path, routes(300), interval="15s")
    with pytest.raises(SloError) as refused:
        simulate(specs, days=40, seed=1, end_ms=END)
    said = str(refused.value)
    assert re.match(rf"cannot simulate shop/s0000 \({re.escape(str(tmp_path))}/shop\.yaml:\d+\): ", said)
    assert f"{MAX_SAMPLES / 1e6:,.0f} million samples" in said and "--days" in said
    days = float(re.search(r"at most ([0-9.]+) days", said)[1])  # type: ignore[index]
    assert 2 < days < 40


VALUES = st.sampled_from(["a", "b", "/x", "200", "500", "5..", "2..|3..", ".+", "(a|b).*", "", "x[0-9]+"])
MATCHER = st.tuples(
    st.sampled_from(["code", "route", "job", "instance", "zone"]), st.sampled_from(["=", "=~", "!=", "!~"]), VALUES
)
METRIC = st.sampled_from(["hits", "calls"])


@st.composite
def selectors(draw: st.DrawFn, suffix: str, metric: str | None = None, least: int = 0) -> str:
    name = metric or draw(METRIC) + suffix
    matchers = draw(st.lists(MATCHER, min_size=least, max_size=3, unique_by=lambda matcher: matcher[0]))
    inside = ",".join(f'{label}{op}"{value}"' for label, op, value in matchers)
    return f"{name}{{{inside}}}"


@st.composite
def slis(draw: st.DrawFn) -> str:
    match draw(
        st.sampled_from(
            ["ratio", "good", "foreign", "latency", "probe", "threshold", "rate", "freshness", "age", "raw"]
        )
    ):
        case "ratio" | "good" as kind:
            metric = draw(METRIC) + "_total"
            total = draw(selectors("", metric))
            inner = total[len(metric) + 1 : -1]
            more = draw(st.sampled_from(['code=~"5.."', 'code!~"2.."', 'route="/x"', 'zone="a"']))
            label = re.match("[a-z]+", more)[0]  # type: ignore[index]
            kept = [entry for entry in inner.split('",') if entry and not entry.startswith(label)]
            joined = '",'.join(kept)
            joined += "," if joined and joined.endswith('"') else '",' if joined else ""
            part = f"{metric}{{{joined}{more}}}"
            return f"{{ratio: {{{'errors' if kind == 'ratio' else 'good'}: '{part}', total: '{total}'}}}}"
        case "foreign":
            return f"{{ratio: {{errors: '{draw(selectors('_failed_total'))}', total: '{draw(selectors('_total'))}'}}}}"
        case "latency":
            bound = draw(st.sampled_from(["100ms", "500ms", "2s"]))
            return f"{{latency: {{histogram: '{draw(selectors('_seconds'))}', threshold: {bound}}}}}"
        case "probe":
            return f"{{probe: {{metric: '{draw(selectors('_up'))}'}}}}"
        case "threshold":
            return f"{{threshold: {{value: '{draw(selectors('_bytes'))}', below: {draw(st.integers(1, 9))}}}}}"
        case "rate":
            return f"{{threshold: {{value: 'sum(rate({draw(selectors('_sent_total'))}[10m]))', at_least: 5}}}}"
        case "freshness":
            return f"{{freshness: {{metric: '{draw(selectors('_last_seconds'))}', max_age: 2h}}}}"
        case "age":
            return f"{{threshold: {{value: 'time() - {draw(selectors('_at_seconds'))}', below: 3600}}}}"
    inside = draw(selectors("", "calls_total"))
    return f"{{raw: {{errors: 'sum(increase(calls_total{{code=\"500\"}}[$window]))', total: 'sum(increase({inside}[$window]))'}}}}"


@given(st.lists(slis(), min_size=1, max_size=25))
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_selector_has_data_or_its_slo_is_refused_by_name(tmp_path: Path, drawn: list[str]) -> None:
    try:
        specs = specs_of(tmp_path, drawn)
    except SloError:
        return  # no valid definitions: nothing to simulate
    try:
        samples, header = simulate(specs, days=0.3, seed=1, end_ms=END)
    except SloError as refused:
        named = re.match(r"cannot simulate (\S+) \((\S+):(\d+)\): .{20,}", str(refused))
        assert named, refused
        slo = specs[named[1]]
        assert (slo.file, slo.line) == (named[2], int(named[3]))
        assert "; " in named[0]  # what to do
        return
    assert not without_data(specs, samples)
    for incident in header.truth["incidents"]:
        assert incident["errors"] >= 0
        # Whoever calls events bad that the total does not select can have more bad ones than all.
        sli = specs[incident["slo"]].sli
        if isinstance(sli, Ratio) and sli.part.name == sli.total.name:
            selected = [
                {tuple(sorted(series.labels.items())) for series in samples.select(s)} for s in (sli.part, sli.total)
            ]
            assert incident["errors"] <= incident["total"] or not selected[0] <= selected[1]
        assert header.start_ms <= incident["start_ms"] < incident["end_ms"] <= END + HOUR


PLAIN = st.fixed_dictionaries(
    {},
    optional={
        "job": st.sampled_from(['="web"', '="api"', '=~"web|api"']),
        "route": st.sampled_from(['="/a"', '="/b"', '=~"/.+"', '!="/a"', '!~"/a|/b"', '=~"/[a-z]"']),
        "zone": st.sampled_from(['="eu"', '="us"', '!="eu"', '=~"eu|us"']),
    },
)
PLAIN_SLI = st.one_of(
    st.tuples(st.sampled_from(["good_2", "errors_5", "errors_4"]), st.sampled_from(["hits", "calls"]), PLAIN),
    st.tuples(st.sampled_from(["latency_100ms", "latency_2s"]), st.sampled_from(["took", "waited"]), PLAIN),
    st.tuples(st.sampled_from(["probe", "threshold", "age"]), st.just("node"), PLAIN),
)


def plain(kind: str, metric: str, labels: dict[str, str]) -> str:
    inside = ",".join(f"{label}{value}" for label, value in labels.items())
    kind, _, detail = kind.partition("_")
    match kind:
        case "good" | "errors":
            part = f'{metric}_total{{{inside}{"," * bool(inside)}code=~"{detail}.."}}'
            return f"{{ratio: {{{kind}: '{part}', total: '{metric}_total{{{inside}}}'}}}}"
        case "latency":
            return f"{{latency: {{histogram: '{metric}_seconds{{{inside}}}', threshold: {detail}}}}}"
        case "probe":
            return f"{{probe: {{metric: '{metric}_up{{{inside}}}'}}}}"
        case "age":
            return f"{{threshold: {{value: 'time() - max({metric}_seconds{{{inside}}})', below: 3600}}}}"
    return f"{{threshold: {{value: '{metric}_bytes{{{inside}}}', below: 5}}}}"


@given(st.lists(PLAIN_SLI, min_size=1, max_size=60))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_many_plain_slos_on_few_metrics_are_all_made(
    tmp_path: Path, drawn: list[tuple[str, str, dict[str, str]]]
) -> None:
    specs = specs_of(tmp_path, [plain(*drawn_slo) for drawn_slo in drawn])
    samples, header = simulate(specs, days=0.3, seed=1, end_ms=END)
    assert not without_data(specs, samples)
    assert all(0 <= incident["errors"] <= incident["total"] for incident in header.truth["incidents"])


CERTIFICATES = """\
service: shop
defaults: {scrape_interval: 1m, window: 30d}
slos:
  - name: certificate
    objective: 99
    sli: {threshold: {value: 'probe_ssl_earliest_cert_expiry{job="web"} - time()', at_least: 1209600}}
  - name: days-left
    objective: 99
    sli: {threshold: {value: '(min(cert_not_after) - time()) / 86400', above: 7}}
  - name: backup-age
    objective: 99
    sli: {threshold: {value: 'time() - max(backup_done_seconds)', below: 7200}}
  - name: uptime
    objective: 90
    sli: {threshold: {value: 'time() - process_start_time_seconds{job="web"}', at_least: 300}}
"""
SCENARIO = """\
incidents:
  - {slo: certificate, kind: expiry, at: 10d, lasts: 2d}
  - {slo: certificate, kind: expiry, at: 13d, lasts: 6h}
  - {slo: days-left, kind: expiry, at: 20d, lasts: 1d}
  - {slo: backup-age, kind: missed, at: 5d, lasts: 3h}
  - {slo: backup-age, kind: missed, at: 5d4h, lasts: 1h}
  - {slo: uptime, kind: crash loop, at: 8d, lasts: 2h}
"""


def value_of(name: str, times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, bool]:
    """What the expression of `name` gives, and whether it is to be high. By hand."""
    now = times / 1000
    return {
        "certificate": (values - now - 1_209_600, True),
        "days-left": ((values - now) / 86_400 - 7, True),
        "backup-age": (now - values - 7200, False),
        "uptime": (now - values - 300, True),
    }[name]


METRICS = {
    "certificate": "probe_ssl_earliest_cert_expiry",
    "days-left": "cert_not_after",
    "backup-age": "backup_done_seconds",
    "uptime": "process_start_time_seconds",
}


def test_values_that_time_moves_hold_but_in_their_incidents(tmp_path: Path) -> None:
    """To the scrape: too little left, or too old, from each incident's start to its end, and never else."""
    (tmp_path / "shop.yaml").write_text(CERTIFICATES)
    (tmp_path / "scenario").write_text(SCENARIO)
    specs = load(tmp_path / "shop.yaml")
    scenario = read_scenario(tmp_path / "scenario", specs)
    samples, header = simulate(specs, days=25, seed=1, end_ms=END, scenario=scenario)
    assert len(header.truth["incidents"]) == 6
    for name, metric in METRICS.items():
        spans = [
            (incident["start_ms"], incident["end_ms"])
            for incident in header.truth["incidents"]
            if incident["slo"] == f"shop/{name}"
        ]
        series = samples.select(parse_selector(metric))
        assert series
        for row in series:
            difference, high = value_of(name, row.times, row.values)
            bad = difference < 0 if high else difference > 0
            planned = np.zeros(len(row.times), dtype=bool)
            for start, end in spans:
                planned |= (row.times > start) & (row.times <= end)
            # An edge may lie a scrape alongside; a process that must run 5 m is short of it up to 5 m longer.
            differ = row.times[bad != planned]
            slack = 5 * 60_000 if name == "uptime" else 60_000
            assert all(min(abs(at - edge) for span in spans for edge in span) <= slack for at in differ.tolist()), name
            # A timestamp stands still between renewals, and a time that has passed is not in the future.
            assert len(np.unique(row.values)) < 30 * 24
            if name in ("backup-age", "uptime"):
                assert (row.values <= row.times / 1000).all()


def test_a_certificate_is_not_all_bad_and_what_is_unknown_is_refused(tmp_path: Path) -> None:
    expiry = "{threshold: {value: 'probe_ssl_earliest_cert_expiry - time()', at_least: 1209600}}"
    specs = specs_of(tmp_path, [expiry])
    samples, _ = simulate(specs, days=3, seed=1, end_ms=END)
    for series in samples.select(parse_selector("probe_ssl_earliest_cert_expiry")):
        assert np.mean(series.values - series.times / 1000 >= 1_209_600) > 0.5
    for value in ("time() - a_seconds * b_seconds", "time() % a_seconds", "stddev(time() - a_seconds)"):
        specs = specs_of(tmp_path, [f"{{threshold: {{value: '{value}', below: 5}}}}"])
        with pytest.raises(
            SloError, match=r"cannot simulate shop/s0000 \(.*shop\.yaml:4\): how time\(\) and .*; use `metric"
        ):
            simulate(specs, days=1, seed=1, end_ms=END)


def test_two_jobs_thresholds_on_one_histogram_leave_each_other_alone(tmp_path: Path) -> None:
    """The lower threshold of one job held back the incidents of the other's."""
    specs = specs_of(
        tmp_path,
        [
            "{latency: {histogram: 'took_seconds{job=\"a\"}', threshold: 500ms}}",
            "{latency: {histogram: 'took_seconds{job=\"b\"}', threshold: 200ms}}",
            "{latency: {histogram: 'took_seconds{job=\"b\"}', threshold: 1s}}",
        ],
        interval="1m",
    )
    _, header = simulate(specs, days=4, seed=2, end_ms=END)
    incidents = header.truth["incidents"]
    assert {incident["slo"] for incident in incidents} == set(specs)
    for stretch in incidents:
        assert stretch["errors"] > 0.015 * stretch["total"], stretch  # 2.5 budgets of 1 %
    # What takes longer than 1 s takes longer than 200 ms too.
    lower = [incident for incident in incidents if incident["slo"] == "shop/s0001"]
    for stretch in (incident for incident in incidents if incident["slo"] == "shop/s0002"):
        [same] = [
            other for other in lower if (other["start_ms"], other["kind"]) == (stretch["start_ms"], stretch["kind"])
        ]
        assert same["errors"] >= stretch["errors"]


def test_slos_that_count_the_same_events_have_the_same_incidents(tmp_path: Path) -> None:
    sli = "{ratio: {errors: 'hits_total{code=~\"5..\"}', total: hits_total}}"
    specs = specs_of(tmp_path, [sli, sli], interval="1m")
    _, header = simulate(specs, days=2, seed=1, end_ms=END)
    reported = {
        name: [
            (incident["kind"], incident["start_ms"], incident["errors"])
            for incident in header.truth["incidents"]
            if incident["slo"] == name
        ]
        for name in specs
    }
    assert reported["shop/s0000"] == reported["shop/s0001"] and len(reported["shop/s0000"]) >= 4
    # Each is planned for one of them, which a backtest takes it for.
    assert {incident["of"] for incident in header.truth["incidents"] if "of" in incident} == set(specs)
    plans = planted(header.truth)
    assert sorted({plan.start_ms for plan in plans}) == [start for _, start, _ in reported["shop/s0000"]]
    assert {plan.slo for plan in plans} == set(specs)


EXPRESSIONS = {
    "bare": "{value: a_bytes, below: 90%}",
    "scaled": "{value: 'b_bytes / 1024 / 1024', below: 500}",
    "share": "{value: 'c_used_bytes / c_limit_bytes', below: 90%}",
    "sums": "{value: 'sum(d_used) / sum(d_limit)', below: 0.8}",
    "left": "{value: '1 - e_avail_bytes / e_size_bytes', below: 80%}",
    "percent": "{value: '100 * avg(f_ratio)', at_least: 95}",
    "summed": "{value: 'sum(g_active) * 2', below: 300}",
}


def test_values_of_constants_shares_and_sums_keep_to_their_bounds_but_in_incidents(tmp_path: Path) -> None:
    text = "service: shop\ndefaults: {scrape_interval: 1m, window: 1d}\nslos:\n" + "".join(
        f"  - {{name: {name}, objective: 99, sli: {{threshold: {expression}}}}}\n"
        for name, expression in EXPRESSIONS.items()
    )
    (tmp_path / "shop.yaml").write_text(text)
    (tmp_path / "scenario").write_text(
        "incidents:\n" + "".join(f"  - {{slo: {name}, kind: outage, at: 20h, lasts: 2h}}\n" for name in EXPRESSIONS)
    )
    specs = load(tmp_path / "shop.yaml")
    scenario = read_scenario(tmp_path / "scenario", specs)
    samples, header = simulate(specs, days=1, seed=1, end_ms=END, scenario=scenario)
    assert {stretch["slo"] for stretch in header.truth["incidents"]} == set(specs)
    write(tmp_path / "r.parquet", samples, header)
    for budget in evaluate_all(specs.values(), Recording.open(tmp_path / "r.parquet"), END):
        [incident] = budget.incidents
        assert abs(incident.start.timestamp() * 1000 - (END - 4 * HOUR)) <= 300_000, budget.slo.id
        assert abs(incident.seconds - 7200) <= 600, budget.slo.id
        assert incident.errors == budget.errors and incident.error_ratio is not None and incident.error_ratio > 0.9
