"""What `slo check` says of definitions that are well formed and wrong: types, series, labels, templates, selectors."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from slo.errors import Problem
from slo.sli.ratio import Ratio
from slo.spec.load import load, loads

DEFINITIONS = Path(__file__).parent.parent.parent / "definitions"


def said(text: str) -> list[str]:
    problems: list[Problem] = []
    loads(text, "x.yaml", problems)
    return [str(problem) for problem in problems]


def slo(sli: str, *more: str) -> str:
    """A definition of one SLO; its SLI is in line 5, what is added begins in line 6."""
    lines = [
        "service: shop",
        "slos:",
        "  - name: a",
        "    objective: 99.9",
        f"    sli: {sli}",
        *(f"    {m}" for m in more),
    ]
    return "\n".join(lines) + "\n"


def ratio(errors: str, total: str, key: str = "errors") -> str:
    return slo(f"{{ratio: {{{key}: '{errors}', total: '{total}'}}}}")


def raw(errors: str, total: str = "sum(increase(t[$window]))") -> str:
    return slo(f"{{raw: {{errors: '{errors}', total: '{total}'}}}}")


def threshold(value: str) -> str:
    return slo(f"{{threshold: {{value: '{value}', above: 1}}}}")


def alert(*lines: str) -> str:
    """A definition with one plain alert, whose keys begin in line 7."""
    return (
        slo("{probe: {metric: up}}", "alerting: off")
        + "alerts:\n  - name: A\n"
        + "".join(f"    {line}\n" for line in lines)
    )


VALUE = "x.yaml:5:23: error: slos[0].sli.threshold.value: "
ERRORS = "x.yaml:5:17: error: slos[0].sli.raw.errors: "
EXPR = "x.yaml:9:5: error: alerts[0].expr: "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (threshold("time()"), VALUE + "gives a scalar; an instant vector is accepted; did you mean `vector(time())`?"),
        (threshold("scalar(up)"), VALUE + "gives a scalar; an instant vector is accepted; did you mean `up`?"),
        (threshold("x_total[5m]"), VALUE + "gives a range vector; an instant vector is accepted; did you mean `rate(x_total[5m])`?"),
        (threshold("x[5m]"), VALUE + "gives a range vector; an instant vector is accepted; did you mean `avg_over_time(x[5m])`?"),
        (threshold("sum(x)[5m:]"), VALUE + "gives a range vector; an instant vector is accepted; did you mean `avg_over_time(sum(x)[5m:])`?"),
        (threshold('"a"'), VALUE + "gives a string; an instant vector is accepted, such as `up == 0`"),
        (threshold("rate(x)"), VALUE + 'not valid PromQL: 1:6: parse error: expected type range vector in call to function "rate", got instant vector'),
        (threshold("rate(x[$window])"), VALUE + "$window is known to `raw` only; write a duration, such as 5m"),
        (threshold("mad_over_time(x[5m])"), VALUE + "mad_over_time is experimental: servers refuse it unless they run with --enable-feature=promql-experimental-functions"),
        (alert("expr: 1 > bool 0"), EXPR + "gives a scalar; an instant vector is accepted; did you mean `vector(1 > bool 0)`?"),
        (alert("expr: up[5m]"), EXPR + "gives a range vector; an instant vector is accepted; did you mean `avg_over_time(up[5m])`?"),
        (alert("expr: \"'down'\""), EXPR + "gives a string; an instant vector is accepted, such as `up == 0`"),
        (raw("e[$window]"), ERRORS + "gives a range vector; one number for $window is accepted; did you mean `sum(increase(e[$window]))`?"),
        (raw("scalar(sum(increase(e[$window])))"), ERRORS + "gives a scalar; one number for $window is accepted, such as `sum(increase(requests_total[$window]))`"),
        (raw("increase(e[$window])"), ERRORS + "can give several series; one is accepted; did you mean `sum(increase(e[$window]))`?"),
        (raw("sum by (job) (increase(e[$window]))"), ERRORS + "can give one series for each value of job; one is accepted; did you mean `sum(sum by (job) (increase(e[$window])))`?"),
        (raw("sum(e) * $window"), ERRORS + "$window stands for a range: write it in brackets, …[$window], or after `offset`"),
        (raw("sum(rate(e[1$window]))"), ERRORS + "$window stands for a range: write it in brackets, …[$window], or after `offset`"),
        (raw("sum(rate(e[$window]) by (x)"), ERRORS + 'not valid PromQL: 1:22: parse error: unexpected <by> in aggregation'),
        (raw("sum(e)"), ERRORS + "has no $window, so it cannot be asked over a window; write …[$window]"),
    ],
)  # fmt: skip
def test_expressions_of_the_wrong_type(text: str, expected: str) -> None:
    assert said(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        raw("sum(increase(e[$window])) or vector(0)"),
        raw("sum(e) - sum(e offset $window)"),
        raw("sum(max_over_time(sum(x)[$window:1m]))"),
        raw("sum(rate(e[$window])) * 60", "vector(1) + 0 * sum(rate(t[$window]))"),
        threshold("vector(time())"),
        threshold("sum(rate(x_total[2m])) / sum(rate(y_total[2m]))"),
        alert("expr: absent(up)"),
        alert("expr: vector(1)"),
    ],
)
def test_expressions_of_the_right_type(text: str) -> None:
    assert said(text) == []


TAKEN = "is set by the rules themselves; choose another name"
BY = "is set by the rules themselves, so `by` cannot tell its values apart; rename it with `metric_relabel_configs`"
PROBE = "{probe: {metric: up}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (slo(PROBE, "by: [severity]"), f"x.yaml:6:10: error: slos[0].by[0]: label `severity` {BY}"),
        (slo(PROBE, "by: [x, period]"), f"x.yaml:6:13: error: slos[0].by[1]: label `period` {BY}"),
        (slo(PROBE, "by: {sloth_slo: [a]}"), f"x.yaml:6:10: error: slos[0].by.sloth_slo: label `sloth_slo` {BY}"),
        (slo(PROBE, "by: [__name__]"), f"x.yaml:6:10: error: slos[0].by[0]: label `__name__` {BY}"),
        (slo(PROBE, "by: [tier]", "labels: {tier: 1}"), "x.yaml:6:10: error: slos[0].by[0]: label `tier` of the metrics would be overwritten by the label of this SLO with the same name; rename or remove one of them"),
        (slo(PROBE, "by: {tier: [a]}") + "labels: {tier: 1}\n", "x.yaml:6:10: error: slos[0].by.tier: label `tier` of the metrics would be overwritten by the label of the service with the same name; rename or remove one of them"),
        (slo(PROBE, "by: [tier]") + "defaults: {labels: {tier: 1}}\n", "x.yaml:6:10: error: slos[0].by[0]: label `tier` of the metrics would be overwritten by the label under `defaults` with the same name; rename or remove one of them"),
        (slo(PROBE, "by: [team]", "alerting: {page: {labels: {team: a}}}"), "x.yaml:6:10: error: slos[0].by[0]: label `team` of the metrics would be overwritten by the label of this SLO's alerts with the same name; rename or remove one of them"),
        (slo(PROBE, "by: [team]") + "defaults: {alerting: {ticket: {labels: {team: a}}}}\n", "x.yaml:6:10: error: slos[0].by[0]: label `team` of the metrics would be overwritten by the label of the alerts by default with the same name; rename or remove one of them"),
        (slo(PROBE, "by: {owner: [a]}") + "owner: web\n", "x.yaml:6:10: error: slos[0].by.owner: label `owner` is the service's `owner`; leave that out, or rename the metrics' label"),
        (slo(PROBE, "labels: {severity: P1}"), "x.yaml:6:14: error: slos[0].labels.severity: label `severity` would be the same for pages and tickets, so that neither can be routed; set it under `alerting`, as in `page: {labels: {severity: P1}}`"),
        (slo(PROBE, "labels: {owner: b}") + "owner: web\n", "x.yaml:6:14: error: slos[0].labels.owner: label `owner` is 'b' here and 'web' as the service's `owner`; leave one out"),
        (slo(PROBE, "labels: {alertstate: b}"), f"x.yaml:6:14: error: slos[0].labels.alertstate: label `alertstate` {TAKEN}"),
        (slo(PROBE, "labels: {__name__: b}"), f"x.yaml:6:14: error: slos[0].labels.__name__: label `__name__` {TAKEN}"),
        (slo(PROBE, "alerting: {page: {labels: {window: b}}}"), f"x.yaml:6:32: error: slos[0].alerting.page.labels.window: label `window` {TAKEN}"),
        (slo(PROBE) + "defaults: {alerting: {ticket: {labels: {slo: b}}}}\n", f"x.yaml:6:41: error: defaults.alerting.ticket.labels.slo: label `slo` {TAKEN}"),
        (slo(PROBE) + "labels: {sloth_id: b}\n", f"x.yaml:6:10: error: labels.sloth_id: label `sloth_id` {TAKEN}"),
        (alert("expr: up == 0", "labels: {alertname: b}"), f"x.yaml:10:14: error: alerts[0].labels.alertname: label `alertname` {TAKEN}"),
        (alert("expr: up == 0", "labels: {service: b}"), f"x.yaml:10:14: error: alerts[0].labels.service: label `service` {TAKEN}"),
        (alert("expr: up == 0", "labels: {severity: b}", "severity: c"), "x.yaml:10:14: error: alerts[0].labels.severity: label `severity` is 'b' here and 'c' as the alert's `severity`; leave one out"),
        (alert("expr: sum by (severity) (x) > 1", "severity: c"), EXPR + "its series differ by `severity`, which is set here to 'c', so several would become one alert and fail; aggregate `severity` away, or select one: severity=\"c\""),
        (alert("expr: sum by (service) (x) > 1"), EXPR + "its series differ by `service`, which is set by the rules to 'shop', so several would become one alert and fail; aggregate `service` away, or select one: service=\"shop\""),
        (alert("expr: sum by (tier) (x) > 1") + "labels: {tier: 1}\n", EXPR + "its series differ by `tier`, which is set for the whole service to '1', so several would become one alert and fail; aggregate `tier` away, or select one: tier=\"1\""),
        (slo(PROBE, "by: [team]", "alerting: {labels: {team: '{{ $labels.job }}'}}"), "x.yaml:6:10: warning: slos[0].by[0]: label `team` of the metrics is overwritten on alerts by a template of the same name; where two series differ by `team` only, their alerts become one and fail"),
        (slo(PROBE, "labels: {team: '{{ $labels.team }}'}"), "x.yaml:6:14: warning: slos[0].labels.team: label `team` is plain text and will read '{{ $labels.team }}'; annotations and the labels under `alerting` are templates"),
    ],
)  # fmt: skip
def test_labels_that_collide(text: str, expected: str) -> None:
    assert said(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        slo(PROBE, "by: [team]", "labels: {tier: 1}", "alerting: {page: {labels: {severity: P1}}}"),
        slo(PROBE, "labels: {owner: web, period: x}") + "owner: web\n",
        alert("expr: 'sum by (service) (x{service=\"shop\"}) > 1'", "severity: c", "labels: {severity: c}"),
        alert("expr: sum by (route) (x) > 1", "labels: {tier: 1}"),
    ],
)
def test_labels_that_do_not(text: str) -> None:
    assert said(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (slo(PROBE, "annotations: {a: '{{ foo }}'}"), "x.yaml:6:19: error: slos[0].annotations.a: not a valid template, at column 4 of the text: there is no function `foo`"),
        (slo(PROBE, "alerting: {ticket: {annotations: {a: '{{ $lables.x }}'}}}"), "x.yaml:6:39: error: slos[0].alerting.ticket.annotations.a: not a valid template, at column 4 of the text: there is no variable `$lables` here; did you mean `$labels`?"),
        (slo(PROBE) + "defaults: {annotations: {a: '{{ $value'}}\n", "x.yaml:6:26: error: defaults.annotations.a: not a valid template, at column 1 of the text: `{{` is not closed; an action ends with `}}`"),
        (slo(PROBE) + "defaults: {alerting: {page: {annotations: {a: '{{ end }}'}}}}\n", "x.yaml:6:44: error: defaults.alerting.page.annotations.a: not a valid template, at column 1 of the text: `{{end}}` without the `if`, `range` or `with` that it belongs to"),
        (alert("expr: up == 0", "annotations: {a: \"x\\ny {{ 'ab' }}\"}"), "x.yaml:10:19: error: alerts[0].annotations.a: not a valid template, at line 2, column 6 of the text: 'ab' is not one character"),
        (alert("expr: up == 0", "description: '{{ if 1 }}'"), "x.yaml:10:5: error: alerts[0].description: not a valid template, at column 11 of the text: `{{end}}` is missing"),
    ],
)  # fmt: skip
def test_templates_that_a_server_refuses(text: str, expected: str) -> None:
    assert said(text) == [expected]


def test_what_is_not_a_template_may_have_braces() -> None:
    """The description of an SLO is text: `{{` in it is printed."""
    assert said(slo(PROBE, "description: '100 {{ percent'")) == []


TOTAL = 'r_total{job="a"}'
MEANT = "which is not a valid regular expression after"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ratio('r_total{job="a",code="5.."}', TOTAL), f"x.yaml:5:19: warning: slos[0].sli.ratio.errors: code=\"5..\" compares with the text '5..', {MEANT} `=`; did you mean code=~\"5..\"?"),
        (ratio('r_total{job="a",code!="2.."}', TOTAL), f"x.yaml:5:19: warning: slos[0].sli.ratio.errors: code!=\"2..\" compares with the text '2..', {MEANT} `!=`; did you mean code!~\"2..\"?"),
        (slo("{probe: {metric: 'up{job=\"a|b\"}'}}"), f"x.yaml:5:19: warning: slos[0].sli.probe.metric: job=\"a|b\" compares with the text 'a|b', {MEANT} `=`; did you mean job=~\"a|b\"?"),
        (threshold('x{pod="api-.*"}'), f"x.yaml:5:23: warning: slos[0].sli.threshold.value: pod=\"api-.*\" compares with the text 'api-.*', {MEANT} `=`; did you mean pod=~\"api-.*\"?"),
        (ratio("job:e:sum", "t"), "x.yaml:5:19: warning: slos[0].sli.ratio.errors: job:e:sum is a recorded series by its name (`:`); counted like a counter it falls whenever a target goes, which reads as a restart. Use the raw counter"),
        (raw("sum(increase(job:e:sum[$window]))"), "x.yaml:5:17: warning: slos[0].sli.raw.errors: job:e:sum is a recorded series by its name (`:`); counted like a counter it falls whenever a target goes, which reads as a restart. Use the raw counter"),
        (ratio("e_total", "up"), "x.yaml:5:38: warning: slos[0].sli.ratio.total: up is a gauge by its name; a ratio counts what counters gain. A gauge of 0 and 1 is a `probe`"),
        (slo("{probe: {metric: r_total}}"), "x.yaml:5:19: warning: slos[0].sli.probe.metric: r_total is a counter by its name; a probe is a gauge of 0 and 1, such as `up`"),
        (threshold("sum(r_total)"), "x.yaml:5:23: warning: slos[0].sli.threshold.value: r_total is a counter by its name and only grows; did you mean `rate(r_total[5m])`?"),
        (ratio('d_bucket{le="1"}', "d_bucket", "good"), "x.yaml:5:45: error: slos[0].sli.ratio.total: d_bucket counts every bucket, so an event several times; name one, as in `d_bucket{le=\"+Inf\"}`, or count `d_count`"),
        (ratio('d_bucket{le!="1"}', "d_count", "good"), "x.yaml:5:19: error: slos[0].sli.ratio.good: d_bucket{le!=\"1\"} counts every bucket, so an event several times; name one, as in `d_bucket{le=\"+Inf\"}`, or count `d_count`"),
        (ratio('d_bucket{le="2"}', 'd_bucket{le="1"}', "good"), "x.yaml:5:19: error: slos[0].sli.ratio.good: `good` has le='2' but `total` le='1': nothing of it is in the total"),
    ],
)  # fmt: skip
def test_selectors_that_hardly_mean_what_they_say(text: str, expected: str) -> None:
    assert said(text) == [expected]


@pytest.mark.parametrize(
    "value",
    ["200", "/api/v1/users/[id]", "/[...slug]", "[::1]:9090", "[2001:db8::1]:9100", "10.0.0.1:9090", "v1.2.3", "C++", "a.b.c", "US$",
     "../x", "(none)", "GET /x?a=1", "*.example.com", "{id}", "C:\\\\data", "5xx", "http://a.b/c", "1...3", "/users/*", "a || b"],
)  # fmt: skip
def test_values_that_are_not_regular_expressions(value: str) -> None:
    assert said(slo(f"{{probe: {{metric: 'up{{x=\"{value}\"}}'}}}}")) == []


@pytest.mark.parametrize(
    "value", ["5..", "4..|5..", "200|204", ".*", ".+", "api-.*", "^5", "[45]..", "[0-9]+", "a\\\\.b", "(?i)get"]
)
def test_values_that_are(value: str) -> None:
    [warning] = said(slo(f"{{probe: {{metric: 'up{{x=\"{value}\"}}'}}}}"))
    assert "did you mean" in warning
    assert said(slo(f"{{probe: {{metric: 'up{{x=~\"{value}\"}}'}}}}")) == []


@pytest.mark.parametrize(
    ("good", "total"), [("1", "+Inf"), ("1", "Inf"), ("0.5", "1.0"), ("2.5e-1", "0.25"), ("1e3", "+Inf")]
)
def test_a_ratio_over_buckets(good: str, total: str) -> None:
    problems: list[Problem] = []
    [service] = loads(ratio(f'd_bucket{{le="{good}"}}', f'd_bucket{{le="{total}"}}', "good"), "x.yaml", problems)
    assert problems == []
    [spec] = service.slos
    assert isinstance(spec.sli, Ratio)


def test_an_alert_is_defined_once_for_a_service(tmp_path: Path) -> None:
    text = alert("expr: up == 0")
    two = text.replace("name: a", "name: b")
    assert [f"{p.line}: {p.message}" for p in _refused(tmp_path, text, two)] == [
        f"8: alert A of shop is defined twice, first in {tmp_path / '0.yaml'}:8"
    ]
    from slo.rules import compile_specs

    groups, _ = compile_specs(load(_written(tmp_path, text, two.replace("name: A", "name: B"))))
    assert [[rule.name for rule in g.rules] for g in groups if g.name == "slo/shop/alerts"] == [["A", "B"]]


def _written(folder: Path, *texts: str) -> list[Path]:
    files = [folder / f"{number}.yaml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    return files


def _refused(folder: Path, *texts: str) -> tuple[Problem, ...]:
    from slo.errors import DefinitionError

    with pytest.raises(DefinitionError) as caught:
        load(_written(folder, *texts))
    return caught.value.problems


def test_the_definitions_of_this_repository_are_warned_of_nothing() -> None:
    assert load(DEFINITIONS).warnings == ()


def test_the_docs_name_the_labels_that_are_taken() -> None:
    from slo.spec.labels import RESERVED

    text = (DEFINITIONS.parent / "docs" / "definitions.md").read_text()
    section = text.split("## Labels that are taken")[1]
    for label in RESERVED - {label for label in RESERVED if label.startswith("sloth_")}:
        assert f"`{label}`" in section
    assert "`sloth_`" in section


def test_the_yaml_of_these_tests_is_what_it_seems() -> None:
    assert yaml.safe_load(alert("expr: up == 0"))["alerts"] == [{"name": "A", "expr": "up == 0"}]
