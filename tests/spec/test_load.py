"""Definitions: what is accepted, what it means, and how faults are reported."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.errors import DefinitionError, Problem
from slo.promql.ast import Matcher, VectorSelector
from slo.sli.freshness import Freshness
from slo.sli.latency import Latency, threshold_text
from slo.sli.outage import Outage
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from slo.sli.raw import Raw
from slo.sli.threshold import Threshold
from slo.spec.document import json_schema
from slo.spec.load import load, loads
from slo.spec.model import Slo
from slo.spec.read import parse_objective
from slo.window import Calendar, Rolling

DEFINITIONS = Path(__file__).parent.parent.parent / "definitions"

GOOD = """\
service: shop
owner: team-shop
labels: {tier: 1}
defaults:
  window: 28d
  labels: {version: 1.10, country: no}
slos:
  - name: availability
    objective: 99.90
    sli: {ratio: {errors: 'http_requests_total{job="shop",code=~"5.."}', total: 'http_requests_total{job="shop"}'}}
  - name: latency
    objective: p95 < 500ms
    window: month
    alerting: {page: off, ticket: {labels: {severity: P3}}}
    sli: {latency: {histogram: 'http_request_duration_seconds{job="shop"}'}}
  - name: up
    objective: 99
    window: 24h
    alerting: off
    sli: {probe: {metric: 'up{job="shop"}'}}
  - name: raw
    objective: 99
    sli: {raw: {errors: 'sum(increase(e_total[$window]))', total: 'sum(increase(t_total[$window]))'}}
"""


def read(text: str) -> tuple[list[Slo], list[Problem]]:
    problems: list[Problem] = []
    services = loads(text, "x.yaml", problems)
    return [slo for service in services for slo in service.slos], problems


def one_slo(**changes: str) -> str:
    """A definition of one good SLO, with some of its lines replaced (None drops a line)."""
    parts = {"name": "a", "objective": "99.9", "sli": "{probe: {metric: up}}"} | changes
    return "service: s\nslos:\n  - " + "\n    ".join(f"{key}: {value}" for key, value in parts.items()) + "\n"


def faults(text: str) -> list[str]:
    return [str(problem) for problem in read(text)[1]]


def test_a_definition_becomes_typed_values() -> None:
    [availability, latency, up, raw], problems = read(GOOD)
    assert problems == []
    assert availability.id == "shop/availability"
    assert availability.objective.percent == Decimal("99.9")
    assert availability.objective.error_budget == Decimal("0.001")
    assert availability.window == Rolling(28 * 86_400_000)
    assert availability.labels == {"tier": "1", "version": "1.10", "country": "no"}
    assert isinstance(availability.sli, Ratio)
    assert availability.sli.part == VectorSelector(
        "http_requests_total", (Matcher("job", "=", "shop"), Matcher("code", "=~", "5.."))
    )
    assert isinstance(latency.sli, Latency)
    assert (latency.objective.percent, latency.sli.threshold_seconds) == (Decimal(95), Decimal("0.5"))
    assert latency.window == Calendar("month")
    assert not latency.alerting.page.enabled
    assert latency.alerting.ticket.labels == {"severity": "P3"}
    assert isinstance(up.sli, Probe)
    assert not up.alerting.page.enabled
    assert not up.alerting.ticket.enabled
    assert isinstance(raw.sli, Raw)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("service: s\n", "x.yaml:1:1: error: `slos` is missing"),
        ("service: s\nslos: 5\n", "x.yaml:2:1: error: slos: must be a list, found '5'"),
        ("service: s\nslos: []\n", "x.yaml:2:1: error: slos: must hold at least one entry"),
        ("- a\n", "x.yaml:1:1: error: holds a list"),
        ("", "x.yaml: error: is empty"),
        (one_slo(objetive="99"), "x.yaml:6:5: error: slos[0].objetive: unknown key `objetive`; did you mean `objective`?"),
        (one_slo(objective="100"), "objective 100 leaves no error budget"),
        (one_slo(objective="0"), "objective 0 asks for nothing"),
        (one_slo(objective="-5"), "asks for nothing"),
        (one_slo(objective="101"), "x.yaml:4:5: error: slos[0].objective: objective 101 is above 100; write a percentage such as 99.9"),
        (one_slo(objective="0.999"), "for the ratio 0.999 write 99.9"),
        (one_slo(objective="high"), "is not a valid percentage"),
        (one_slo(objective="nan"), "is not a valid percentage"),
        (one_slo(objective="inf"), "is not a valid percentage"),
        (one_slo(objective="[99]"), "slos[0].objective: must be text, found a list"),
        (one_slo(objective="p95 < 500ms"), "only a `latency` SLI has one"),
        (one_slo(window="30"), "'30' is not a valid window"),
        (one_slo(window="1y"), "out of range; accepted are 1h to 90d"),
        (one_slo(window="fortnight"), "is not a valid window"),
        (one_slo(name="a b"), "'a b' is not a valid name"),
        (one_slo(name="x" * 101), "longer than 100"),
        (one_slo(labels="{le: x}"), "label `le` is set by the rules themselves"),
        (one_slo(labels="{'a-b': x}"), "is not a valid label name"),
        (one_slo(labels="{a: [1]}"), "slos[0].labels.a: must be text, found a list"),
        (one_slo(alerting="{page: on}"), "or write `off`"),
        (one_slo(alerting="{page: {lables: {}}}"), "unknown key `lables`; did you mean `labels`?"),
        (one_slo(sli="{}"), "an SLI is exactly one of"),
        (one_slo(sli="{probe: {metric: up}, raw: {errors: a, total: b}}"), "found probe and raw"),
        (one_slo(sli="{probe: {metric: 'up{'}}"), "slos[0].sli.probe.metric: not valid PromQL"),
        (one_slo(sli="{probe: {metric: 'up{a=~\"(\"}'}}"), "not valid PromQL"),
        (one_slo(sli="{probe: {metric: 'rate(up[5m])'}}"), "must be a metric with matchers"),
        (one_slo(sli="{probe: {metric: 'up offset 5m'}}"), "leave `offset` and `@` out"),
        (one_slo(sli="{probe: {metric: '{}'}}"), "not valid PromQL"),
        (one_slo(sli="{ratio: {total: t}}"), "exactly one of `errors` and `good`"),
        (one_slo(sli="{ratio: {total: t, errors: e, good: g}}"), "exactly one of `errors` and `good`"),
        (one_slo(sli="{ratio: {total: 't{a=\"1\"}', errors: 't{a=\"1\"}'}}"), "everything counts as an error"),
        (one_slo(sli="{ratio: {total: 't{a=\"1\"}', errors: 't{a=\"2\"}'}}"), "nothing of it is in the total"),
        (one_slo(sli="{ratio: {total: 't{a=\"1\"}', errors: 't{b=\"2\"}'}}"), "warning: slos[0].sli.ratio.errors: `errors` may count events outside"),
        (one_slo(sli="{latency: {histogram: h_bucket, threshold: 1s}}"), "without _bucket: h"),
        (one_slo(sli="{latency: {histogram: h}}"), "no threshold"),
        (one_slo(sli="{latency: {histogram: h, threshold: 1x}}"), "'1x' is not a valid duration"),
        (one_slo(sli="{latency: {histogram: 'h{le=\"1\"}', threshold: 1s}}"), "leave `le` out"),
        (one_slo(sli="{raw: {errors: 'sum(e)', total: 'sum(rate(t[$window]))'}}"), "has no $window"),
        (one_slo(sli="{raw: {errors: 'sum(rate(e[$window])', total: 'sum(rate(t[$window]))'}}"), "slos[0].sli.raw.errors: not valid PromQL"),
    ],
)  # fmt: skip
def test_faults_say_where_and_what_fixes_them(text: str, expected: str) -> None:
    assert any(expected in fault for fault in faults(text)), faults(text)


MORE = """\
service: shop
slos:
  - name: recovery
    objective: 99.9
    sli: {outage: {of: up, longer_than: 15m}}
  - name: up
    objective: 99.9
    sli: {probe: {metric: 'up{job="shop"}'}}
  - name: throughput
    objective: 99
    alerting: {windows: [{severity: page, long: 2h, budget: 5%}, {severity: ticket, long: 1d, short: 1h, factor: 3}], least_errors: 3}
    sli: {threshold: {value: 'sum(rate(r_total[2m]))', at_least: 100, slice: 1m}}
  - name: memory
    objective: 99
    sli: {threshold: {value: mem_bytes, below: 1 GiB}}
  - name: backup
    objective: 99
    sli: {freshness: {metric: backup_last_success_timestamp_seconds, max_age: 1h}}
alerts:
  - {name: Down, expr: up == 0, for: 1m, severity: P0, description: No answer}
"""


def test_the_kinds_that_are_judged_per_slice() -> None:
    [recovery, up, throughput, memory, backup], problems = read(MORE)
    assert problems == []
    assert recovery.sli == Outage(up.sli, "up", 15 * 60_000, Decimal("0.5"), 60_000)
    assert throughput.sli == Threshold("sum(rate(r_total[2m]))", ">=", Decimal(100), 60_000)
    assert memory.sli == Threshold("mem_bytes", "<", Decimal(1024**3), 30_000)
    assert backup.sli == Freshness(VectorSelector("backup_last_success_timestamp_seconds"), 3_600_000, 30_000)


def test_a_team_sets_its_own_windows() -> None:
    alerting = read(MORE)[0][2].alerting
    assert alerting.least_errors == 3
    assert alerting.windows is not None
    [page, ticket] = alerting.windows
    assert (page.long_ms, page.short_ms, page.factor) == (7_200_000, 600_000, Fraction(5, 100) * 360)
    assert (ticket.long_ms, ticket.short_ms, ticket.budget_share) == (86_400_000, 3_600_000, Fraction(1, 10))


def test_by_makes_one_slo_for_each_value() -> None:
    text = one_slo(
        sli='{ratio: {total: \'t{job="j"}\', errors: \'t{job="j",code=~"5.."}\'}}', by="{route: [/, /a b, /a-b]}"
    )
    slos, problems = read(text)
    assert problems == []
    assert [slo.name for slo in slos] == ["a.root", "a.a-b", "a.a-b-2"]
    assert [slo.labels for slo in slos] == [{"route": "/"}, {"route": "/a b"}, {"route": "/a-b"}]
    sli = slos[1].sli
    assert isinstance(sli, Ratio)
    assert sli.total.matchers[-1] == sli.part.matchers[-1] == Matcher("route", "=", "/a b")


def test_plain_alerts_stand_alongside_the_slos() -> None:
    [service] = loads(MORE, "x.yaml", [])
    [alert] = service.alerts
    assert (alert.name, alert.expr, alert.for_ms) == ("Down", "up == 0", 60_000)
    assert alert.labels == {"severity": "P0"}
    assert alert.annotations == {"description": "No answer"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"by": "{job: [a]}", "sli": "{probe: {metric: 'up{job=\"x\"}'}}"}, "a selector already fixes job"),
        ({"by": "{x: [a, a]}"}, "names a value of x twice"),
        ({"by": "{x: []}"}, "must hold at least one entry"),
        ({"by": "{slo: [a]}"}, "label `slo` is set by the rules themselves"),
        ({"by": "{x: [a]}", "sli": "{threshold: {value: x, above: 1}}"}, "works with ratio, latency, probe and raw"),
        ({"by": "{x: [1,2,3,4,5,6,7,8,9,10,11], y: [1,2,3,4,5,6,7,8,9,10]}"}, "makes 110 SLOs; up to 100"),
        ({"sli": "{threshold: {value: x}}"}, "exactly one of at_least, at_most, above, below; found none"),
        ({"sli": "{threshold: {value: x, above: 1, below: 2}}"}, "found above and below"),
        ({"sli": "{threshold: {value: 'x{', above: 1}}"}, "slos[0].sli.threshold.value: not valid PromQL"),
        ({"sli": "{threshold: {value: x, above: 1 elephant}}"}, "'1 elephant' is not a valid quantity"),
        ({"sli": "{threshold: {value: x, above: 1, slice: 7s}}"}, "does not divide 5m"),
        ({"sli": "{outage: {of: nothing, longer_than: 1h}}"}, "no SLO `nothing` in this service"),
        ({"sli": "{outage: {of: a, longer_than: 1h}}"}, "no SLO `a` in this service"),
        ({"sli": "{freshness: {metric: x, max_age: long}}"}, "'long' is not a valid duration"),
        ({"alerting": "{windows: [{severity: page, long: 1h}]}"}, "exactly one of `budget` (2%) and `factor` (14.4)"),
        (
            {"alerting": "{windows: [{severity: page, long: 1h, short: 2h, factor: 2}]}"},
            "is not shorter than the long one",
        ),
        ({"alerting": "{windows: [{severity: page, long: 31d, factor: 2}]}"}, "longer than the SLO's window of 30d"),
        (
            {"alerting": "{windows: [{severity: fax, long: 1h, factor: 2}]}"},
            "found 'fax'; accepted is 'page' or 'ticket'",
        ),
        ({"alerting": "{windows: []}"}, "must hold at least one entry"),
        ({"alerting": "{least_errors: many}"}, "is not a number of events"),
        (
            {"objective": "90", "alerting": "{windows: [{severity: page, long: 1h, budget: 2%}]}"},
            "can never fire: at 90% a burn rate of 14.4 is an error ratio of 144%; widen `long` beyond 1h27m",
        ),
    ],
)
def test_faults_of_the_further_kinds(changes: dict[str, str], expected: str) -> None:
    reported = faults(one_slo(**changes))
    assert any(expected in fault for fault in reported), reported


def test_a_plain_alert_is_checked_too() -> None:
    reported = faults(
        one_slo() + "alerts:\n  - {name: A, expr: 'x{'}\n  - {name: B, expr: x, for: soon}\n  - {name: B, exp: x}\n"
    )
    for part in (
        "alerts[0].expr: not valid PromQL",
        "alerts[1].for: 'soon' is not a valid duration",
        "unknown key `exp`; did you mean `expr`?",
    ):
        assert any(part in fault for fault in reported), reported


def test_all_faults_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        one_slo(objective="101", window="x", sli="{ratio: {total: 't{', errors: e}}", typo="1")
    )
    (tmp_path / "b.yml").write_text("service: [\n")
    (tmp_path / "c.yaml").write_bytes(b"service: \xff\n")
    with pytest.raises(DefinitionError) as caught:
        load(tmp_path)
    reported = str(caught.value)
    for part in (
        "a.yaml:4:5",
        "a.yaml:5:19",
        "a.yaml:6:5",
        "a.yaml:7:5",
        "unknown key `typo`",
        "b.yml:2:1",
        "c.yaml: error: is not UTF-8",
    ):
        assert part in reported
    assert "above 100" in reported


def test_a_wrong_shape_hides_no_other_fault() -> None:
    reported = faults(one_slo(sli="{probe: {metric: 'up{'}}", window="x", typo="1"))
    assert len(reported) == 3


def test_two_slos_of_one_name_are_an_error(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(one_slo())
    with pytest.raises(DefinitionError, match=r"b\.yaml:3:1: error: SLO s/a is defined twice, first in .*a\.yaml:3"):
        load(tmp_path)


@pytest.mark.parametrize("missing", ["empty", "nowhere"])
def test_nothing_to_read_is_an_error(tmp_path: Path, missing: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DefinitionError, match=r"holds no definition|does not exist"):
        load(tmp_path / missing)


def test_the_shipped_definitions_load_without_a_doubt() -> None:
    specs = load(DEFINITIONS)
    assert specs.warnings == ()
    assert {"faciliauto", "hitl-api", "prometheus"} <= {service.name for service in specs.services}


def test_an_unknown_slo_is_reported_with_the_likeliest(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="did you mean `faciliauto/latency`"):
        load(DEFINITIONS)["faciliauto/latnecy"]


@given(st.decimals(min_value=1, max_value=Decimal("99.9999"), places=4))
def test_an_objective_and_its_budget_are_one_to_the_digit(percent: Decimal) -> None:
    objective = parse_objective(str(percent))
    assert objective.ratio + objective.error_budget == 1
    assert objective.error_budget * 100 + percent == 100


@given(st.text(max_size=80))
def test_any_text_in_any_place_is_a_message_never_a_crash(text: str) -> None:
    quoted = json.dumps(text)
    for place in ("objective", "window", "name", "description", "sli", "labels", "alerting"):
        read(one_slo(**{place: quoted}))
    read(one_slo(sli=f"{{probe: {{metric: {quoted}}}}}"))
    read(one_slo(sli=f"{{latency: {{histogram: {quoted}, threshold: {quoted}}}}}"))


@pytest.mark.parametrize("off", ["off", "false", "'off'"])
def test_off_is_off_in_every_spelling(off: str) -> None:
    [slo], problems = read(one_slo(alerting=f"{{page: {off}}}"))
    assert problems == []
    assert not slo.alerting.page.enabled
    assert slo.alerting.ticket.enabled
    [none], _ = read(one_slo(alerting=off))
    assert not none.alerting.ticket.enabled


def test_the_schema_knows_every_key_and_only_those() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {"service", "owner", "description", "labels", "defaults", "slos", "alerts"}
    slo = schema["$defs"]["SloModel"]
    assert slo["properties"]["objective"]["type"] == ["string", "number"]
    assert slo["anyOf"] == [{"required": ["name", "objective", "sli"]}, {"required": ["preset"]}]


def test_a_calendar_window_has_a_time_zone() -> None:
    [own], problems = read(one_slo(window="month", time_zone="Europe/Berlin"))
    assert (own.window, problems) == (Calendar("month", "Europe/Berlin"), [])
    text = "service: a\ndefaults: {time_zone: Asia/Kolkata, window: week}\nslos:\n  - {name: a, objective: 99, sli: {probe: up}}\n"
    more = "  - {name: b, objective: 99, window: 7d, sli: {probe: up}}\n  - {name: c, objective: 99, time_zone: UTC, sli: {probe: up}}\n"
    found, problems = read(text + more)
    assert [slo.window for slo in found] == [
        Calendar("week", "Asia/Kolkata"),
        Rolling(7 * 86_400_000),
        Calendar("week"),
    ]
    assert problems == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"window": "month", "time_zone": "Europe/Berln"}, "'Europe/Berln' is not a time zone; did you mean `Europe/Berlin`?"),
        ({"window": "month", "time_zone": "../etc/passwd"}, "is not a time zone; write one such as Europe/Berlin"),
        ({"window": "7d", "time_zone": "Europe/Berlin"}, "is of calendar windows, and the window is 7d"),
    ],
)  # fmt: skip
def test_a_time_zone_that_is_none_or_of_no_use_is_said(keys: dict[str, str], message: str) -> None:
    _, problems = read(one_slo(**keys))
    assert message in " ".join(problem.message for problem in problems)


@pytest.mark.parametrize(
    ("histogram", "unit", "threshold", "bound"),
    [
        ("d_seconds", None, "500ms", "0.5"),
        ("d_milliseconds", None, "500ms", "500"),
        ("d_us", None, "500ms", "500000"),
        ("d_nanoseconds", None, "5ms", "5000000"),
        ("job_duration_minutes", None, "90s", "1.5"),
        ("job_duration_hours", None, "2h", "2"),
        ("d_seconds", "milliseconds", "500ms", "500"),
        ("d", "microseconds", "1ms", "1000"),
    ],
)
def test_a_histograms_unit_decides_on_its_bucket(histogram: str, unit: str | None, threshold: str, bound: str) -> None:
    said = f", unit: {unit}" if unit else ""
    [slo], problems = read(one_slo(sli=f"{{latency: {{histogram: {histogram}, threshold: {threshold}{said}}}}}"))
    assert isinstance(slo.sli, Latency)
    assert (slo.sli.bound, problems) == (Decimal(bound), [])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500us", "0.0005"),
        ("12.8ms", "0.0128"),
        ("250ns", "2.5e-7"),
        ("1.5s", "1.5"),
        ("1m30s", "90"),
        ("0.5µs", "5e-7"),
    ],
)
def test_thresholds_below_a_millisecond(text: str, seconds: str) -> None:
    entry = one_slo(sli=f"{{latency: {{histogram: d_seconds, threshold: {text}}}}}")
    [slo], problems = read(entry)
    assert isinstance(slo.sli, Latency)
    assert (slo.sli.threshold_seconds, problems) == (Decimal(seconds), [])
    assert read(entry.replace(text, threshold_text(slo.sli.threshold_seconds)))[0][0].sli == slo.sli


@pytest.mark.parametrize("text", ["0us", "0.0ms", "1.5m", "us", "1e-3s", "-1ms", "5 ms", "1ms500us"])
def test_what_is_no_threshold_is_refused(text: str) -> None:
    assert faults(one_slo(sli=f"{{latency: {{histogram: d_seconds, threshold: {text}}}}}"))


@pytest.mark.parametrize(
    ("errors", "good", "total"),
    [
        (
            'x_total{job="a",result="failure"}',
            'x_total{job="a",result="success"}',
            'x_total{job="a",result=~"failure|success"}',
        ),
        ('x_total{code=~"5.."}', 'x_total{code="2.0"}', 'x_total{code=~"5..|2\\\\.0"}'),
    ],
)
def test_good_and_bad_events_together_are_all(errors: str, good: str, total: str) -> None:
    [slo], problems = read(one_slo(sli=f"{{ratio: {{errors: '{errors}', good: '{good}'}}}}"))
    assert isinstance(slo.sli, Ratio)
    assert (str(slo.sli.total), str(slo.sli.part), slo.sli.part_is, problems) == (total, errors, "errors", [])


@pytest.mark.parametrize(
    ("sli", "message"),
    [
        ('{errors: \'a_total{x="1",y="1"}\', good: \'a_total{x="2",y="2"}\'}', "must differ in one label"),
        ("{errors: [], total: a_total}", "must hold at least one entry"),
        ("{errors: {}, total: a_total}", "must be text"),
        ("{errors: [a_total, a_total], total: b_total}", "is there twice"),
        ("{errors: '{__name__=~\"a_total|b_total\"}', total: c_total}", "name each, in a list"),
        ("{errors: [a_total, 'x{'], total: b_total}", "not valid PromQL"),
        ("{errors: [a_total, b_total], total: [b_total, a_total]}", "everything counts as an error"),
        (
            "{errors: [a_total, 'b_total{x=\"1\"}'], total: [a_total, 'b_total{x=\"2\"}']}",
            "nothing of it is in the total",
        ),
        ("{errors: 'a_total{x!=\"1\"}', good: 'a_total{x=\"1\"}'}", "must differ in one label with = or =~"),
        ("{errors: a_total}", "`total` is missing"),
        ("{total: a_total}", "exactly one of `errors` and `good`, or both"),
        (
            "{total: a_total, errors: 'a_total{x=\"1\"}', good: 'a_total{x=\"2\"}'}",
            "exactly one of `errors` and `good`, or both",
        ),
    ],
)
def test_a_ratio_has_two_parts(sli: str, message: str) -> None:
    assert any(message in fault for fault in faults(one_slo(sli=f"{{ratio: {sli}}}")))


def test_the_schema_takes_any_two_parts_of_a_ratio() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(json_schema())

    def valid(*keys: str) -> bool:
        entry = {"name": "a", "objective": "99", "sli": {"ratio": dict.fromkeys(keys, "x_total")}}
        return bool(check.is_valid({"service": "a", "slos": [entry]}))

    assert all(valid(*two) for two in (("total", "errors"), ("total", "good"), ("errors", "good")))
    assert not any(valid(*keys) for keys in ((), ("total",), ("total", "errors", "good")))
