"""What the alerts do in holes, without traffic, without data, and at the marks of a budget: scripts for promtool."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from slo.promql.parse import parse
from slo.rules import NAMES, AlertRule, compile_specs, to_yaml
from slo.rules.alerts import absent_for_ms, alert_rules, alert_windows, fast_and_slow
from slo.rules.names import OWN, SLOTH
from slo.rules.windows import Tiles
from slo.spec.gotemplate import fault_in
from slo.spec.model import Slo, Specs
from slo.window import HOUR, MINUTE
from tests.rules.test_compile import ALL_KINDS, specs
from tests.servers import promtool

RATIO = "sli: {ratio: {errors: 'requests_total{code=\"500\"}', total: requests_total}}"
PAGE = 'ALERTS{alertname="ErrorBudgetBurn",severity="page",alertstate="firing"}'
MISSING = 'ALERTS{alertname="SLODataMissing",alertstate="firing"}'
SLO_LABELS = 'service="shop",slo="a"'


def definition(*keys: str, objective: str = "99.9", sli: str = RATIO) -> Specs:
    lines = ["service: shop", "slos:", "  - name: a", f"    objective: {objective}", *(f"    {key}" for key in keys)]
    return specs("\n".join([*lines, f"    {sli}"]) + "\n")


def one_slo(*keys: str, objective: str = "99.9", sli: str = RATIO) -> Slo:
    [slo] = definition(*keys, objective=objective, sli=sli).values()
    return slo


def alerts(slo: Slo) -> list[AlertRule]:
    fine, coarse = alert_rules(slo, OWN, Tiles.of(OWN, slo, MINUTE), Tiles.of(OWN, slo, 5 * MINUTE))
    return fine + coarse


def counters(parts: Sequence[tuple[int, float | None]], scrape: int, first: int = 0) -> dict[str, str]:
    """Promtool's series of a service of 100 requests a second: (seconds, error ratio) in turn.

    None is a hole in which a tenth fails, unseen; an error ratio of −1 is without traffic. Scrapes begin at `first` seconds.
    """
    good, bad = 0.0, 0.0
    texts: dict[str, list[str]] = {"200": ["_"] * (first // scrape), "500": ["_"] * (first // scrape)}
    for seconds, ratio in parts:
        for _ in range(seconds // scrape):
            share = 0.1 if ratio is None else ratio
            requests = 0.0 if share < 0 else 100.0 * scrape
            good, bad = good + requests * (1 - share), bad + requests * share
            for code, value in (("200", good), ("500", bad)):
                texts[code].append("_" if ratio is None else f"{value:.10g}")
    return {f'requests_total{{job="shop",instance="a",code="{code}"}}': " ".join(text) for code, text in texts.items()}


def ask(
    place: Path,
    defined: Specs,
    series: Mapping[str, str],
    questions: Iterable[tuple[str, str, float | None]],
    *,
    scrape: int = 30,
    every: str = "1m",
    tool: str = "promtool",
) -> None:
    """What promtool says of expressions at moments: (expression, moment, the one value expected, or None for nothing)."""
    groups, _ = compile_specs(defined)
    (place / "rules.yml").write_text(to_yaml(groups))
    test: dict[str, Any] = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": every,
        "group_eval_order": [group.name for group in sorted(groups, key=lambda group: group.interval_ms)],
        "tests": [
            {
                "interval": f"{scrape}s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": expr,
                        "eval_time": at,
                        "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
                    }
                    for expr, at, value in questions
                ],
            }
        ],
    }
    (place / "test.yml").write_text(yaml.safe_dump(test))
    said = promtool("test", "rules", place / "test.yml", name=tool)
    assert said.returncode == 0, said.stdout + said.stderr


def minutes(expr: str, of: str) -> str:
    """At how many of the last so many evaluations, a minute or an hour apart, there was something."""
    count, unit = int(of[:-1]), of[-1]
    # Prometheus 2 counts both ends of a range, 3 its last one only: this range has neither.
    return f"sum(count_over_time({expr}[{count - 1}{unit}{'30s' if unit == 'm' else '30m'}]))"


@pytest.mark.server
@pytest.mark.parametrize("tool", ["promtool", "promtool2"])
def test_a_hole_does_not_resolve_a_page_and_data_does(tmp_path: Path, tool: str) -> None:
    """10 % fail from minute 60 on; nothing is scraped from 80 to 110; from then on all is well.

    What failed in the hole is seen at its end: the last half hour has errors until minute 140.
    """
    series = counters([(3600, 0.0), (1200, 0.1), (1800, None), (3000, 0.0)], 30)
    questions = [
        (minutes(PAGE, "60m"), "60m", None),
        (minutes(PAGE, "29m"), "109m", 29.0),
        (minutes(MISSING, "25m"), "109m", 25.0),
        (minutes(PAGE, "25m"), "136m", 25.0),
        (minutes(PAGE, "10m"), "155m", None),
        (minutes(MISSING, "10m"), "130m", None),
    ]
    ask(tmp_path, definition(), series, questions, tool=tool)


@pytest.mark.server
def test_a_hole_fires_no_page_for_an_incident_before_it_and_its_end_does_for_what_it_hid(tmp_path: Path) -> None:
    """The hour before the hole still holds 3.3 % of errors; the five minutes before it hold none. In it a tenth fails."""
    series = counters([(3600, 0.0), (1200, 0.1), (900, 0.0), (2400, None), (600, 0.0)], 30)
    questions = [
        (f"{minutes(PAGE, '20m')} > bool 8", "80m", 1.0),
        ("max(slo:sli_error:ratio_rate1h) > bool 0.0144", "96m", 1.0),
        (minutes(PAGE, "8m"), "95m", None),
        (minutes(PAGE, "38m"), "134m", None),
        (f"count({PAGE})", "137m", 1.0),
        (minutes(PAGE, "2m"), "145m", None),
    ]
    ask(tmp_path, definition("alerting: {windows: [{severity: page, long: 1h, budget: 2%}]}"), series, questions)


@pytest.mark.server
def test_a_service_without_traffic_resolves_its_page_and_misses_no_data(tmp_path: Path) -> None:
    series = counters([(3600, 0.0), (1200, 0.1), (3600, -1.0)], 30)
    questions = [
        (minutes(PAGE, "5m"), "80m", 5.0),
        (minutes(PAGE, "10m"), "97m", None),
        (minutes(MISSING, "140m"), "140m", None),
    ]
    loaded_specs = definition("alerting: {windows: [{severity: page, long: 1h, budget: 2%}]}")
    ask(tmp_path, loaded_specs, series, questions)


@pytest.mark.server
@pytest.mark.parametrize("phase", [0, 15, 30, 45])
def test_missing_data_is_as_fast_as_the_page_of_a_full_outage(tmp_path: Path, phase: int) -> None:
    """Scrapes every 15 s from minute 30 to 90: none in the half hour before, within two minutes after, and until data is back."""
    lasts = 3600 + phase
    series = counters([(lasts, 0.0), (1800, None), (900, 0.0)], 15, first=1800)
    outage = 1800 + lasts  # the first scrape that is missing
    fires = -(-outage // 60) * 60
    questions = [
        (minutes(MISSING, "90m"), f"{outage}s", None),
        (f"count({MISSING})", f"{outage // 60 * 60 + 120}s", 1.0),
        (minutes(MISSING, "20m"), f"{fires + 1500}s", 20.0),
        (minutes(MISSING, "5m"), f"{fires + 2400}s", None),
    ]
    ask(tmp_path, definition("scrape_interval: 15s"), series, questions, scrape=15)


@pytest.mark.server
def test_missing_data_stays_missing(tmp_path: Path) -> None:
    """After two hours of data there is none for 22."""
    series = counters([(7200, 0.0), (79200, None)], 60)
    ask(
        tmp_path, definition(), series, [(f"count({MISSING})", "3h", 1.0), (f"count({MISSING})", "23h", 1.0)], scrape=60
    )


@pytest.mark.server
def test_a_value_of_by_that_goes_is_not_missing_data_and_all_of_them_are(tmp_path: Path) -> None:
    def route(name: str, text: str) -> dict[str, str]:
        return {f'requests_total{{job="shop",instance="a",code="200",route="{name}"}}': text}

    series = route("/old", "0+10x80") | route("/new", "0+10x160")
    questions = [
        ("count(slo:events:increase1m{event='bad'})", "35m", 2.0),
        ("count(slo:events:increase1m{event='bad'})", "60m", 1.0),
        (minutes(MISSING, "78m"), "78m", None),
        (f"count({MISSING})", "90m", 1.0),
    ]
    ask(tmp_path, definition("by: [route]"), series, questions)


@pytest.mark.parametrize(
    ("objective", "scrape", "keys", "expected"),
    [
        # A full outage needs 52 s, 8.6 min, 5.2 s of an hour to consume 2 % of the budget.
        ("99.9", "15s", "", 0),
        ("99", "15s", "", 4 * MINUTE),
        ("99.99", "30s", "", 0),
        ("99.7", "30s", "", MINUTE),  # 156 s
        # One lost scrape is not missing data.
        ("99.9", "1m", "", MINUTE),
        ("99.9", "5m", "", 5 * MINUTE),
        ("99.9", "30s", "alerting: {absent: {for: 7m}}", 7 * MINUTE),
        ("99", "30s", "alerting: {absent: {for: 0s}}", 0),
        ("99.9", "30s", "alerting: {page: off, ticket: off}", 4 * MINUTE),
    ],
)
def test_how_long_data_must_be_missing(objective: str, scrape: str, keys: str, expected: int) -> None:
    slo = one_slo(f"scrape_interval: {scrape}", *filter(None, [keys]), objective=objective)
    assert absent_for_ms(slo, 5 * MINUTE if scrape == "5m" else MINUTE) == expected


@pytest.mark.server
def test_each_mark_of_a_budget_is_one_alert_until_the_budget_is_back(tmp_path: Path) -> None:
    """Hours: 20 % consumed, then 55 %, wavering about 50 % for 20, 80 %, 110 %, and 10 % in the end."""
    remaining = [0.8] * 24 + [0.45] * 12 + [0.52, 0.48] * 10 + [0.2] * 12 + [-0.1] * 12 + [0.9] * 60
    series = {f"slo:period_error_budget_remaining:ratio{{{SLO_LABELS}}}": " ".join(map(str, remaining))}
    fired = 'ALERTS{alertname="BudgetConsumed",alertstate="firing"'
    half, most, all_of_it = (f'{fired},consumed="{mark}"}}' for mark in ("50%", "75%", "100%"))
    hours = 24 + 12 + 20 + 12 + 12
    questions = [
        (f"count({fired}}})", "23h", None),
        (minutes(half, "57h"), f"{hours}h", 57.0),
        ('count(changes(ALERTS_FOR_STATE{consumed="50%"}[55h]) == 0)', f"{hours}h", 1.0),
        (f"count({most})", "55h", None),
        (minutes(most, "24h"), f"{hours - 1}h", 24.0),
        (f"count({all_of_it})", "67h", None),
        (f"count({fired}}})", f"{hours - 1}h", 3.0),
        # For a thirtieth of the window beyond its end each goes on.
        (f"count({fired}}})", f"{hours + 20}h", 3.0),
        (f"count({fired}}})", f"{hours + 26}h", None),
    ]
    loaded_specs = definition("alerting: {budget: [50%, 75%, 100%]}")
    ask(tmp_path, loaded_specs, series, questions, scrape=3600, every="1h")


@pytest.mark.server
def test_a_label_of_an_alert_is_a_template_and_the_pair_that_holds_splits_nothing(tmp_path: Path) -> None:
    """First the pair of 1h and 5m burns, then that of 6h and 30m only: one alert throughout."""
    own = f'{{{SLO_LABELS},route="/x"}}'
    series = {
        f"slo:sli_error:ratio_rate{window}{own}": f"{first}x30 {then}x30"
        for window, first, then in (("1h", 0.5, 0.01), ("5m", 0.5, 0.01), ("6h", 0.001, 0.2), ("30m", 0.01, 0.01))
    }
    # Half an hour of history is a twelfth of 6h.
    series[f'slo:events:increase1m{own[:-1]},event="bad"}}'] = "0x60"
    loaded_specs = definition(
        "by: [route]", "alerting: {labels: {team: 'team{{ $labels.route }}'}, page: {severity: P1}}"
    )
    page = 'ALERTS{alertname="ErrorBudgetBurn",alertstate="firing",severity="P1"'
    questions = [
        (minutes(f'{page},team="team/x",window="1h, 6h"}}', "60m"), "59m", 60.0),
        (f"count(count_over_time({page}}}[60m]))", "59m", 1.0),
        ('count(changes(ALERTS_FOR_STATE{severity="P1"}[59m]) == 0)', "59m", 1.0),
    ]
    ask(tmp_path, loaded_specs, series, questions, scrape=60)


def test_pairs_are_one_alert_unless_they_are_given_something_of_their_own() -> None:
    [page, missing, ticket] = alerts(one_slo())
    assert (page.labels["window"], ticket.labels["window"]) == ("1h, 6h", "1d, 3d")
    assert [len(rule.burns) for rule in (page, missing, ticket)] == [2, 0, 2]
    windows = (
        "{severity: page, long: 1h, factor: 14, labels: {x: '1'}}, {severity: page, long: 6h, factor: 6},"
        "{severity: page, long: 3h, factor: 9}, {severity: page, long: 6h, factor: 4, for: 5m}"
    )
    rules = [rule for rule in alerts(one_slo(f"alerting: {{windows: [{windows}], ticket: off}}")) if rule.burns]
    assert [rule.labels["window"] for rule in rules] == ["1h", "6h, 3h", "6h"]
    assert [rule.for_ms for rule in rules] == [0, 0, 5 * MINUTE]
    # Where nothing but the window would tell two alerts apart, the window says more.
    windows = "{severity: page, long: 6h, factor: 6}, {severity: page, long: 6h, factor: 4, for: 5m}"
    rules = [rule for rule in alerts(one_slo(f"alerting: {{windows: [{windows}], ticket: off}}")) if rule.burns]
    assert [rule.labels["window"] for rule in rules] == ["6h", "6h at 4x"]


def test_all_pairs_of_a_severity_are_evaluated_together() -> None:
    for objective in ("50", "80", "90", "99.9"):
        for window in ("1h", "24h", "80h", "7d", "30d", "90d"):
            slo = one_slo(f"window: {window}", objective=objective)
            fast, slow = fast_and_slow(alert_windows(slo))
            assert {burn.severity for burn in fast}.isdisjoint(burn.severity for burn in slow)
            assert all(burn.short_ms >= HOUR for burn in slow)
            burning = [rule for rule in alerts(slo) if rule.burns]
            assert len(burning) <= 2


def test_names_times_and_severities_are_a_teams_to_set() -> None:
    keys = (
        "alerting: {name: Burns, for: 2m, keep_firing_for: 10m, labels: {team: web}, page: {severity: P1},"
        " absent: {name: Gone, severity: page}, budget: {consumed: [50%], name: Half, keep_firing_for: 3h}}"
    )
    page, missing, ticket, half = alerts(one_slo(keys))
    assert [rule.name for rule in (page, missing, ticket, half)] == ["Burns", "Gone", "Burns", "Half"]
    assert [rule.labels["severity"] for rule in (page, missing, ticket, half)] == ["P1", "P1", "ticket", "ticket"]
    assert {rule.labels["team"] for rule in (page, missing, ticket, half)} == {"web"}
    assert [rule.for_ms for rule in (page, missing, ticket, half)] == [2 * MINUTE, 0, 2 * MINUTE, 0]
    assert [rule.keep_firing_ms for rule in (page, missing, ticket, half)] == [10 * MINUTE, 0, 10 * MINUTE, 3 * HOUR]
    assert page.annotations["summary"].split("}}")[1].endswith("[P1] {{$labels.service")


@pytest.mark.parametrize("names", ["slo", "sloth"])
def test_every_text_of_an_alert_is_a_template_whose_queries_are_promql(names: str) -> None:
    """With the labels of the SLO put in, as a server does."""
    by = "  - {name: routes, objective: 99, by: [route], alerting: {budget: [50%]}, sli: {probe: {metric: 'up{x=\"`\"}'}}}\n"
    loaded_specs = specs(ALL_KINDS.replace("defaults: {", "defaults: {recorded_labels: {ruler: 'a`b\"%d'}, ") + by)
    groups, _ = compile_specs(loaded_specs, NAMES[names])
    asked = 0
    for rule in (rule for group in groups if group.slo for rule in group.rules if isinstance(rule, AlertRule)):
        for text in (*rule.annotations.values(), *rule.labels.values()):
            assert fault_in(text) is None, text
            for query in re.findall(r"query \(printf `(.*?)` \$s(?: \$value)?\)", text):
                assert query.count("%") == query.count("%[1]s") + query.count("%[2]v")
                parse(query.replace("%[1]s", 'a="b"').replace("%[2]v", "14.4"))
                asked += 1
    assert asked > 50


def test_the_text_of_missing_data_names_what_is_missing() -> None:
    parts = 0
    for slo in specs(ALL_KINDS).values():
        [missing] = [rule for rule in alerts(slo) if rule.name == "SLODataMissing"]
        whole, *others = slo.sli.selectors()
        assert str(whole) in missing.annotations["missing"]
        for selector in others:
            # A part of what is named is not missing by itself.
            part = selector.name == whole.name and set(selector.matchers) > set(whole.matchers)
            assert part or str(selector) in missing.annotations["missing"]
            parts += part
    assert parts


def test_sloths_label_of_the_window_does_not_split_an_alert() -> None:
    [slo] = definition().values()
    fine, coarse = alert_rules(slo, SLOTH, Tiles.of(SLOTH, slo, MINUTE), Tiles.of(SLOTH, slo, 5 * MINUTE))
    for rule in fine + coarse:
        assert ("sloth_window" in rule.labels) == bool(rule.burns)
        assert rule.labels["sloth_severity"] in ("page", "ticket")
