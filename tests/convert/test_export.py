"""What is exported and imported again is what it was; what a format cannot hold is said."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.cli import run
from slo.convert import to_openslo, to_pyrra, to_sloth
from slo.convert.export import Exported
from slo.convert.model import Draft, Options
from slo.convert.read import convert
from slo.convert.write import document_text, file_text
from slo.promql.ast import Matcher, VectorSelector
from slo.promql.parse import parse
from slo.sli.sums import Sums
from slo.sli.threshold import Threshold
from slo.spec.load import loads
from slo.spec.model import Slo

NAME = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,5})?", fullmatch=True)
LABEL = st.from_regex(r"l_[a-z]{1,6}", fullmatch=True)
# No `{`: two of them begin a template to Sloth, and such an SLO is left out.
VALUE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{"), max_size=12)
PATTERN = st.sampled_from(["5..", "GET|POST", "", ".+", 'a"b', "a\\\\b"])
MATCHER = st.one_of(
    st.builds(Matcher, LABEL, st.sampled_from(["=", "!="]), VALUE),
    st.builds(Matcher, LABEL, st.sampled_from(["=~", "!~"]), PATTERN),
)
MATCHERS = st.lists(MATCHER, max_size=2, unique_by=lambda matcher: matcher.label).map(tuple)
ERRORS = Matcher("code", "=~", "5..")


@st.composite
def ratios(draw: st.DrawFn) -> dict[str, Any]:
    total = VectorSelector(draw(st.from_regex(r"[a-z]{1,8}_total", fullmatch=True)), draw(MATCHERS))
    part = VectorSelector(total.name, (*total.matchers, ERRORS))
    return {
        "sli": {"ratio": {"errors": str(part), "total": str(total)}},
        "by": draw(st.lists(st.sampled_from(["b_route", "b_zone"]), unique=True)),
    }


@st.composite
def sums(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.from_regex(r"[a-z]{1,8}_total", fullmatch=True), min_size=3, max_size=5, unique=True))
    texts = [str(VectorSelector(name, draw(MATCHERS))) for name in names]
    cut = draw(st.integers(1, len(texts) - 2))
    some, rest = texts[:cut], texts[cut:]
    part = draw(st.sampled_from(["errors", "good"]))
    return {
        "sli": {"ratio": {part: some, draw(st.sampled_from(["total", "errors" if part == "good" else "good"])): rest}},
        "by": draw(st.lists(st.just("b_route"), max_size=1)),
    }


@st.composite
def latencies(draw: st.DrawFn) -> dict[str, Any]:
    unit = draw(st.sampled_from(["seconds", "milliseconds"]))
    histogram = VectorSelector(draw(st.from_regex(r"[a-z]{1,8}_", fullmatch=True)) + unit, draw(MATCHERS))
    threshold = f"{draw(st.integers(1, 20_000))}ms"
    return {
        "sli": {"latency": {"histogram": str(histogram), "threshold": threshold}},
        "by": draw(st.lists(st.just("b_route"), max_size=1)),
    }


@st.composite
def thresholds(draw: st.DrawFn) -> dict[str, Any]:
    value = draw(
        st.sampled_from(["queue_length", 'sum(rate(a_total{x="y"}[5m]))', "max(a) - min(b)", "a or b", "-(a)"])
    )
    bound = draw(st.decimals("-1000", "1e9", places=3))
    op = draw(st.sampled_from(["at_least", "at_most", "above", "below"]))
    return {
        "sli": {"threshold": {"value": value, op: f"{bound:f}", "slice": draw(st.sampled_from(["30s", "1m", "5m"]))}}
    }


@st.composite
def slos(draw: st.DrawFn, kinds: st.SearchStrategy[dict[str, Any]]) -> Slo:
    percent = draw(st.decimals("1", "99.99999", places=5))
    entry: dict[str, Any] = {
        "name": draw(NAME), "objective": f"{percent.normalize():f}", "description": draw(VALUE), "owner": draw(NAME),
        "labels": draw(st.dictionaries(st.sampled_from(["tier", "env"]), VALUE.filter(bool))), **draw(kinds),
    }  # fmt: skip
    entry = {key: value for key, value in entry.items() if value}
    problems: list[Any] = []
    [service] = loads(document_text({"service": draw(NAME)}, [Draft("x", 1, entry, [])]), "x.yaml", problems)
    assert not [problem for problem in problems if problem.severity == "error"], problems
    [slo] = service.slos
    return slo


def meaning(slo: Slo) -> tuple[Any, ...]:
    """What an SLO measures and whose it is; how it alerts is another matter."""
    sli: Any = slo.sli
    if isinstance(sli, Sums):  # errors and good ones are all events, in whatever order
        sli = (set(sli.totals), set(sli.sums), sli.part_is)
    if isinstance(sli, Threshold):
        sli = replace(sli, expr=str(parse(sli.expr)))  # however it is written
    return slo.id, slo.objective.percent, slo.window, sli, slo.by, slo.description, slo.owner, dict(slo.labels)


def there_and_back(slo: Slo, writer: ModuleType) -> Slo:
    [exported] = writer.export([slo])
    [result] = convert({"x.yaml": exported.text}, Options())
    assert not result.refusals, (exported.text, result.refusals)
    problems: list[Any] = []
    [service] = loads(file_text(result), "y.yaml", problems)
    [spec] = service.slos
    return spec


@settings(max_examples=25)
@given(slos(st.one_of(ratios(), sums(), latencies(), thresholds())))
def test_openslo_there_and_back_is_the_same(slo: Slo) -> None:
    assert meaning(there_and_back(slo, to_openslo)) == meaning(slo)


@settings(max_examples=25)
@given(slos(st.one_of(ratios(), sums(), latencies(), thresholds())))
def test_sloth_there_and_back_is_the_same(slo: Slo) -> None:
    assert meaning(there_and_back(slo, to_sloth)) == meaning(slo)


@settings(max_examples=25)
@given(slos(st.one_of(ratios(), latencies())))
def test_pyrra_there_and_back_is_the_same(slo: Slo) -> None:
    assert meaning(there_and_back(slo, to_pyrra)) == meaning(slo)


@pytest.mark.parametrize("window", ["7d", "week", "month", "quarter", "year"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_windows_and_their_time_zones_come_back_from_openslo(window: str, zone: str) -> None:
    more = f"    window: {window}\n" + (f"    time_zone: {zone}\n" if window != "7d" else "")
    slo = slo_of("{ratio: {errors: 'x_total{code=\"5\"}', total: x_total}}", more)
    assert there_and_back(slo, to_openslo).window == slo.window


def slo_of(sli: str, more: str = "") -> Slo:
    problems: list[Any] = []
    [service] = loads(
        f"service: shop\nslos:\n  - name: x\n    objective: 99.95\n    sli: {sli}\n{more}", "x.yaml", problems
    )
    assert not problems, problems
    return service.slos[0]


@pytest.mark.parametrize(
    "text", ["a\x85b", "\u2028", "\u2029 x", " a\n b\n", "\t", "\ufeff", "'", "yes", "1e3", "# x", ": "]
)
@pytest.mark.parametrize("writer", [to_openslo, to_sloth, to_pyrra])
def test_texts_of_every_shape_come_back(writer: ModuleType, text: str) -> None:
    assert (
        there_and_back(replace(slo_of(RATIO.replace("good", "errors")), description=text), writer).description == text
    )


RATIO = "{ratio: {good: 'x_total{code!~\"5..\"}', total: x_total}}"


def only(exported: list[Exported]) -> Any:
    [document] = exported[0].documents
    return document


def test_numbers_never_pass_through_a_float() -> None:
    [exported] = to_sloth.export([slo_of(RATIO)])
    assert "objective: 99.95\n" in exported.text
    [exported] = to_openslo.export([slo_of(RATIO)])
    assert "target: 0.9995\n" in exported.text
    [exported] = to_pyrra.export([slo_of(RATIO)])
    assert "target: '99.95'\n" in exported.text


LISTS = "{ratio: {errors: [a_total, 'b_total{x=\"1\"}'], total: c_total}}"


def test_sums_of_counters_are_written_out_and_what_they_miss_is_said() -> None:
    [sloth] = to_sloth.export([slo_of(LISTS, "    by: [route]\n")])
    events = sloth.documents[0]["slos"][0]["sli"]["events"]
    assert events["error_query"] == (
        'sum by (route) (rate(a_total[{{.window}}])) + sum by (route) (rate(b_total{x="1"}[{{.window}}]))'
    )
    assert any("while one of them has no series" in warning.text for warning in sloth.warnings)
    [openslo] = to_openslo.export([slo_of(LISTS)])
    assert 'sum(a_total) + sum(b_total{x="1"})' in openslo.text
    [pyrra] = to_pyrra.export([slo_of(LISTS)])
    assert not pyrra.documents and "adds up no counters" in pyrra.warnings[0].text


def test_good_events_become_errors_where_one_matcher_tells_them_apart() -> None:
    ratio = only(list(to_pyrra.export([slo_of(RATIO)])))["spec"]["indicator"]["ratio"]
    assert ratio == {"errors": {"metric": 'x_total{code=~"5.."}'}, "total": {"metric": "x_total"}}


def test_a_whole_bound_is_found_in_both_spellings() -> None:
    document = only(list(to_sloth.export([slo_of("{latency: {histogram: d_seconds, threshold: 5s}}")])))
    assert 'le=~"5|5[.]0"' in document["slos"][0]["sli"]["events"]["error_query"]


def test_alerts_that_sloth_knows_are_kept() -> None:
    more = "    alerting: {name: Burns, annotations: {a: b}, labels: {team: web}, page: {severity: P1}, ticket: off}\n"
    alerting = only(list(to_sloth.export([slo_of(RATIO, more)])))["slos"][0]["alerting"]
    assert alerting == {
        "name": "Burns", "page_alert": {"labels": {"team": "web", "severity": "P1"}, "annotations": {"a": "b"}}, "ticket_alert": {"disable": True},
    }  # fmt: skip


MORE = (
    "    window: month\n    delay: 1m\n    alerting: {least_errors: 3, for: 2m, keep_firing_for: 5m, budget: [50%]}\n"
)


@pytest.mark.parametrize(
    ("writer", "sli", "more", "texts"),
    [
        (
            to_sloth,
            RATIO,
            MORE,
            [
                "calendar windows",
                "least_errors",
                "`for`",
                "keep_firing_for",
                "consumed budget",
                "`delay`",
                "missing data",
            ],
        ),
        (
            to_pyrra,
            RATIO,
            MORE,
            ["calendar windows", "least_errors", "`for`", "keep_firing_for", "consumed budget", "`delay`"],
        ),
        (
            to_openslo,
            RATIO,
            MORE,
            ["one window each", "least_errors", "keep_firing_for", "consumed budget", "`delay`", "missing data"],
        ),
        (to_sloth, RATIO, "    window: 28d\n", ["--default-slo-period=28d"]),
        (to_pyrra, "{latency: {histogram: d_seconds, threshold: 5s}}", "", ['le="5.0" on Prometheus 3']),
        (to_openslo, "{probe: {metric: up}}", "", ["between 0 and 1"]),
        (
            to_openslo,
            "{raw: {errors: 'sum(increase(a[$window]))', total: 'sum(increase(b[$window]))'}}",
            "",
            ["only some tools fill in"],
        ),
    ],
)
def test_what_a_format_cannot_hold_is_said(writer: ModuleType, sli: str, more: str, texts: list[str]) -> None:
    [exported] = writer.export([slo_of(sli, more)])
    said = "\n".join(warned.text for warned in exported.warnings)
    assert exported.documents
    assert [text for text in texts if text not in said] == []


@pytest.mark.parametrize(
    ("writer", "sli"),
    [
        (to_pyrra, "{ratio: {good: y_total, total: x_total}}"),
        (to_pyrra, "{threshold: {value: x, at_most: 3}}"),
        (to_sloth, "{latency: {histogram: d_seconds, threshold: 5s, native: true}}"),
        (to_openslo, "{latency: {histogram: d_seconds, threshold: 5s, native: true}}"),
        (to_sloth, "{ratio: {errors: 'x_total{path=\"{{\"}', total: x_total}}"),
    ],
)
def test_an_slo_that_a_format_cannot_hold_is_left_out_and_said_so(writer: ModuleType, sli: str) -> None:
    [exported] = writer.export([slo_of(sli)])
    assert not exported.documents
    assert [warned.left_out for warned in exported.warnings] == [True]


@pytest.mark.parametrize("format", ["openslo", "sloth", "pyrra"])
def test_the_command_writes_a_file_for_each_service(
    format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(
        "service: shop\nslos:\n  - {name: x, objective: 99, sli: {ratio: {errors: 'a{b=\"c\"}', total: a}}}\n"
        "  - {name: y, objective: 99, sli: {outage: {of: x, longer_than: 15m}}}\n"
    )
    assert run(["export", format, str(tmp_path / "a.yaml"), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "left out: shop/y" in said
    assert "1 SLO written, 1 left out" in said
    [written] = (tmp_path / "out").iterdir()
    assert (written.name, len(list(yaml.safe_load_all(written.read_text())))) == ("shop.yaml", 1)
    assert run(["import", str(written)]) == 0


def test_the_systems_of_this_project_come_back_from_openslo(tmp_path: Path) -> None:
    from slo.spec.load import load

    specs = load(Path(__file__).parent.parent.parent / "definitions")
    results = [exported for exported in to_openslo.export(specs.values()) if exported.documents]
    written = sum(len(exported.documents) for exported in results)
    assert written >= 0.9 * len(specs)
    back = convert({exported.service: exported.text for exported in results}, Options())
    assert not [refusal for result in back for refusal in result.refusals]
    objectives = {
        f"{s.name}/{d.entry['name']}": Decimal(d.entry["objective"])
        for result in back
        for s in result.services
        for d in s.slos
    }
    assert objectives == {key: slo.objective.percent for key, slo in specs.items() if key in objectives}
    assert len(objectives) == written
