"""Sloth's files and resources: names, labels, alerts, plugins, windows."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from slo.convert.model import Draft, Options
from slo.convert.plugins import _PLUGINS
from slo.convert.read import convert
from slo.convert.summary import is_changed, lines
from slo.convert.write import document_text, file_text
from slo.rules.compile import compile_slo
from slo.rules.names import OWN, SLOTH
from slo.spec import presets
from slo.spec.load import loads
from slo.window import CATALOGUE, DAY, HOUR, Rolling
from tests.convert import draft_of, imported, reasons, slo_of, sloth
from tests.convert.test_expression import ALL, BAD

RESOURCE = """\
apiVersion: sloth.slok.dev/v1
kind: PrometheusServiceLevel
metadata: {name: shop, namespace: monitoring}
spec:
  service: shop
  labels: {owner: web, tier: 2}
  slos:
    - name: requests
      objective: 99.95
      sli:
        events:
          errorQuery: sum(rate(x_total{code=~"5.."}[{{.window}}]))
          totalQuery: sum(rate(x_total[{{.window}}]))
      alerting:
        name: ShopBurns
        labels: {severity: urgent, team: web}
        annotations: {summary: "{{ $labels.slo }} burns"}
        pageAlert: {labels: {severity: page-web}}
        ticketAlert: {disable: true}
"""


def test_a_resource_means_what_it_meant() -> None:
    slo = slo_of(RESOURCE)
    assert (slo.id, slo.owner, slo.objective.percent, str(slo.window)) == (
        "shop/requests",
        "web",
        Decimal("99.95"),
        "30d",
    )
    assert slo.labels == {"tier": "2"}
    assert slo.alerting.page.labels == {"team": "web", "severity": "page-web"}
    assert slo.alerting.page.annotations == {"summary": "{{ $labels.slo }} burns"}
    assert slo.alerting.page.name == "ShopBurns"
    assert not slo.alerting.ticket.enabled
    assert draft_of(RESOURCE).grade == "exact"


def test_the_catalogue_of_windows_is_sloths_own() -> None:
    """Why nothing is written about windows: 2% in 1h, 5% in 6h page; 10% in 1d, 10% in 3d are tickets."""
    shown = [(severity, window // HOUR, float(share)) for severity, window, share in CATALOGUE]
    assert shown == [("page", 1, 0.02), ("page", 6, 0.05), ("ticket", 24, 0.1), ("ticket", 72, 0.1)]


@pytest.mark.parametrize(("wrong", "right"), [("page_alert", "pageAlert"), ("ticket_alert", "ticketAlert")])
def test_an_alert_in_a_resource_under_the_name_of_files_has_no_effect_and_is_named(wrong: str, right: str) -> None:
    """What is alerted is the same, so that it is exact; a line warns, as it is hardly what was meant, and --strict fails."""
    result = imported(RESOURCE.replace(right, wrong))
    [draft] = result.drafts
    assert draft.grade == "exact"
    assert any(note.warns and f"the tool reads `{right}`" in note.text for note in draft.notes)
    assert any(": warning: " in line and right in line for line in lines([result])) and is_changed([result])
    assert f"# warning: `alerting.{wrong}` was left out" in file_text(result)


def test_queries_in_a_resource_under_the_names_of_files_are_refused() -> None:
    assert "it is `errorQuery`" in reasons(RESOURCE.replace("errorQuery", "error_query"))


def test_a_template_of_a_label_that_is_in_by_is_left_out_as_alerts_carry_it() -> None:
    by = "by (cluster, zone)"
    alerting = """\
    alerting:
      name: A
      labels: {cluster: "{{ .Labels.cluster }}", zone: "{{ $labels.cluster }}", team: "t-{{ $labels.zone }}"}
"""
    text = sloth(BAD.replace("sum(", f"sum {by} ("), ALL.replace("sum(", f"sum {by} ("), more=alerting)
    draft = draft_of(text)
    assert draft.entry["alerting"]["labels"] == {"zone": "{{ $labels.cluster }}", "team": "t-{{ $labels.zone }}"}
    assert draft.grade == "exact"


def test_a_plain_label_of_alerts_that_is_in_by_is_dropped_with_a_note() -> None:
    by = "by (cluster)"
    text = sloth(
        BAD.replace("sum(", f"sum {by} ("),
        ALL.replace("sum(", f"sum {by} ("),
        more="    alerting: {name: A, labels: {cluster: c}}\n",
    )
    draft = draft_of(text)
    assert "labels" not in draft.entry["alerting"]
    assert draft.grade == "changed"


def test_a_template_that_servers_refuse_is_dropped_with_a_note() -> None:
    draft = draft_of(
        sloth(
            BAD,
            ALL,
            more="    alerting: {name: A, annotations: {summary: '{{ $labels.x', runbook_url: 'https://r/x'}}\n",
        )
    )
    assert draft.entry["alerting"]["annotations"] == {"runbook_url": "https://r/x"}
    assert draft.grade == "changed"


def test_no_alerts_are_not_alerts() -> None:
    alerting = "    alerting: {page_alert: {disable: true}, ticket_alert: {disable: true}}\n"
    slo = slo_of(sloth(BAD, ALL, more=alerting))
    assert not any(alert.enabled for alert in (slo.alerting.page, slo.alerting.ticket, slo.alerting.absent.alert))


@pytest.mark.parametrize(
    ("text", "value"), [("2", "2"), ("true", "true"), ("1.0", "1.0"), ("012", "012"), ("no", "no")]
)
def test_label_values_stay_as_they_are_written(text: str, value: str) -> None:
    assert slo_of(sloth(BAD, ALL).replace("service: shop", f"service: shop\nlabels: {{tier: {text}}}")).labels == {
        "tier": value
    }


def test_labels_that_the_rules_set_are_dropped_with_a_note() -> None:
    result = imported(
        sloth(BAD, ALL).replace("service: shop", "service: shop\nlabels: {slo: x, app.io/y: z, team: web}")
    )
    assert result.services[0].head["labels"] == {"team": "web"}
    assert sum(note.changed for note in result.services[0].notes) == 2


@pytest.mark.parametrize("objective", ["99.9", "99.99999", "99.90", "95"])
def test_an_objective_is_exact_to_the_digit(objective: str) -> None:
    assert slo_of(sloth(BAD, ALL, objective=objective)).objective.percent == Decimal(objective)


def test_a_name_with_blanks_is_another_name_and_said_so() -> None:
    result = imported(sloth(BAD, ALL).replace("service: shop", "service: my web shop"))
    assert result.services[0].head["service"] == "my-web-shop"
    assert any(note.changed for note in result.services[0].notes)


def test_the_window_is_given_from_outside() -> None:
    assert slo_of(sloth(BAD, ALL), window="28d").window == Rolling(28 * DAY)


def test_several_documents_are_several_services_and_one_bad_slo_does_not_spoil_the_rest() -> None:
    other = sloth(BAD, ALL, objective="101").replace("service: shop", "service: bar")
    result = imported("---\n" + sloth(BAD, ALL) + "---\n" + other)
    assert [service.name for service in result.services] == ["shop"]
    [refusal] = result.refusals
    assert refusal.name == "bar/requests"
    assert "objective 101 is above 100" in refusal.reason


def test_a_second_slo_of_a_name_is_refused() -> None:
    assert "has this name" in reasons(sloth(BAD, ALL) + "---\n" + sloth(BAD, ALL))


def test_alert_windows_of_another_file_are_used_for_their_period() -> None:
    windows = """\
apiVersion: sloth.slok.dev/v1
kind: AlertWindows
spec:
  sloPeriod: 7d
  page:
    quick: {errorBudgetPercent: 8, shortWindow: 5m, longWindow: 1h}
    slow: {errorBudgetPercent: 12.5, shortWindow: 30m, longWindow: 6h}
  ticket:
    quick: {errorBudgetPercent: 20, shortWindow: 2h, longWindow: 1d}
    slow: {errorBudgetPercent: 42, shortWindow: 6h, longWindow: 3d}
"""
    results = convert({"windows.yml": windows, "shop.yml": sloth(BAD, ALL)}, Options(window="7d"))
    [service] = results[1].services
    pairs = service.head["defaults"]["alerting"]["windows"]
    assert [(pair["severity"], pair["long"], pair["short"], pair["budget"]) for pair in pairs] == [
        ("page", "1h", "5m", "8%"), ("page", "6h", "30m", "12.5%"), ("ticket", "1d", "2h", "20%"), ("ticket", "3d", "6h", "42%"),
    ]  # fmt: skip
    assert "alerting" not in convert({"w": windows, "s": sloth(BAD, ALL)}, Options())[1].services[0].head["defaults"]


OPTIONS = (
    "bucket: 0.3, service: s, namespace: n, controller: c, backend_regex: b, service_name_regex: r, filter: 'job=\"j\"'"
)


@pytest.mark.parametrize("plugin", sorted(set(_PLUGINS) - {"fake", "noop"}))
def test_each_common_plugin_becomes_an_exact_sli_without_raw(plugin: str) -> None:
    sli = f"plugin: {{id: sloth-common/{plugin}, options: {{{OPTIONS}}}}}"
    draft = draft_of(sloth(BAD, ALL).replace(sloth(BAD, ALL).split("sli:\n      ")[1].split("\n")[0], sli))
    assert draft.grade == "exact"
    assert draft.kind in ("ratio", "latency", "probe")
    assert draft.kind == next(iter(draft.entry.get("sli", {draft.kind: ""})))
    [slo] = [slo for service in loads(document_text({"service": "shop"}, [draft]), "x", []) for slo in service.slos]
    assert all('job="j"' in str(selector) for selector in slo.sli.selectors())


@pytest.mark.parametrize(
    ("plugin", "options", "becomes"),
    [
        ("kubernetes/nginx-ingress/availability", "", {"preset": "nginx-ingress/availability"}),
        ("coredns/availability", "custom_rcode_regex: 'SERVFAIL|REFUSED'", {"preset": "coredns/availability", "with": {"rcodes": "SERVFAIL|REFUSED"}}),
        ("istio/v1/latency", "service: s, namespace: n, bucket: 300", {"preset": "istio/latency", "with": {"service": "s", "namespace": "n", "threshold": "300ms"}}),
        ("traefik/v2/latency", "service_name_regex: s, bucket: 0.3, filter: 'a=\"b\"'", {"preset": "traefik/latency", "with": {"service": "s", "threshold": "300ms", "filter": 'a="b"'}}),
        ("istio/v1/latency", "service: s, namespace: n, bucket: 0.5", {"preset": "istio/latency", "with": {"service": "s", "namespace": "n", "threshold": "500us"}}),
        # What no preset means.
        ("traefik/v2/latency", "service_name_regex: s, bucket: 0.3, exclude_errors: true", None),
    ],
)  # fmt: skip
def test_a_plugin_becomes_the_preset_of_the_same_meaning(
    plugin: str, options: str, becomes: dict[str, object] | None
) -> None:
    sli = f"plugin: {{id: sloth-common/{plugin}, options: {{{options}}}}}"
    entry = draft_of(sloth(BAD, ALL).replace(sloth(BAD, ALL).split("sli:\n      ")[1].split("\n")[0], sli)).entry
    assert ({key: entry[key] for key in ("preset", "with") if key in entry} or None) == becomes
    assert ("sli" in entry) == (becomes is None)


def test_every_preset_of_a_plugin_is_one_that_it_becomes() -> None:
    named = {preset.model.sloth for preset in map(presets.load, presets.names()) if preset.model.sloth}
    assert {f"sloth-common/{plugin}" for plugin in _PLUGINS} - named == {"sloth-common/fake", "sloth-common/noop"}
    for plugin in named:
        sli = f"plugin: {{id: {plugin}, options: {{{OPTIONS.replace('0.3', '300')}}}}}"
        entry = draft_of(sloth(BAD, ALL).replace(sloth(BAD, ALL).split("sli:\n      ")[1].split("\n")[0], sli)).entry
        assert presets.load(entry["preset"]).model.sloth == plugin


@pytest.mark.parametrize(
    ("sli", "reason"),
    [
        ("plugin: {id: our/own}", "is code of its own"),
        ("plugin: {id: sloth-common/fake}", "counts nothing"),
        ("plugin: {id: sloth-common/coredns/latency}", "option `bucket` is missing"),
        ("plugin: {id: sloth-common/coredns/latency, options: {bucket: slow}}", "not a valid number"),
        ("{}", "it has none"),
    ],
)
def test_plugins_that_cannot_be_followed_are_refused(sli: str, reason: str) -> None:
    line = sloth(BAD, ALL).split("sli:\n      ")[1].split("\n")[0]
    assert reason in reasons(sloth(BAD, ALL).replace(line, sli))


INFO = "{id: sloth.dev/contrib/info_labels/v1, config: {labels: {cost.centre: 12, team: a}}}"
EXHAUSTED = (
    "{id: sloth.dev/contrib/error_budget_exhausted_alert/v1, config: {threshold: 0.05, alert_name: Low, "
    "alert_labels: {severity: info}, annotations: {text: x}}}"
)


def chained(plugins: str, alerting: str = "{name: A}", service: str = "") -> Draft:
    more = f"    plugins: {{chain: [{plugins}]}}\n    alerting: {alerting}\n"
    text = sloth(BAD, ALL, more=more if plugins else f"    alerting: {alerting}\n")
    return draft_of(text + (f"slo_plugins: {{chain: [{service}]}}\n" if service else ""))


def test_labels_that_a_plugin_adds_to_the_info_series_are_there_alone() -> None:
    draft = chained(INFO)
    assert (draft.entry["info_labels"], draft.grade) == ({"cost.centre": "12", "team": "a"}, "exact")
    [service] = loads(document_text({"service": "shop"}, [draft]), "x", [])
    for names in (OWN, SLOTH):
        rules = [rule for group in compile_slo(service.slos[0], names) for rule in group.rules]
        found = {rule.name for rule in rules if rule.labels.get("cost.centre") == "12"}
        assert found == {names.info}


def test_labels_of_the_info_series_for_all_slos() -> None:
    result = imported(sloth(BAD, ALL) + f"slo_plugins: {{chain: [{INFO}]}}\n")
    assert result.services[0].head["defaults"]["info_labels"] == {"cost.centre": "12", "team": "a"}
    assert result.grade == "exact"


def test_a_plugin_makes_alerts_wait() -> None:
    """Without it Sloth does not heed `for`."""
    alerting = "{name: A, page_alert: {for: 5m}, ticket_alert: {disable: true}}"
    waits = chained("{id: sloth.dev/contrib/alert_for/v1}", alerting)
    assert (waits.entry["alerting"]["page"], waits.grade) == ({"for": "5m"}, "exact")
    assert chained("", alerting, "{id: sloth.dev/contrib/alert_for/v1}").entry["alerting"]["page"] == {"for": "5m"}
    without = chained("", alerting)
    assert "page" not in without.entry["alerting"] and without.grade == "changed"


def test_an_alert_on_the_exhausted_budget_is_one_here() -> None:
    draft = chained(EXHAUSTED)
    budget = {
        "consumed": ["95%"],
        "name": "Low",
        "for": "5m",
        "labels": {"severity": "info"},
        "annotations": {"text": "x"},
    }
    assert (draft.entry["alerting"]["budget"], draft.grade) == (budget, "exact")
    off = chained(EXHAUSTED, "{page_alert: {disable: true}, ticket_alert: {disable: true}}")
    assert off.entry["alerting"] == {"page": False, "ticket": False, "absent": False, "budget": budget}
    assert "not a valid number" in reasons(
        sloth(BAD, ALL, more=f"    plugins: {{chain: [{EXHAUSTED.replace('0.05', 'x')}]}}\n    alerting: {{name: A}}\n")
    )


def with_plugin(sli: str) -> str:
    line = sloth(BAD, ALL).split("sli:\n      ")[1].split("\n")[0]
    return sloth(BAD, ALL).replace(line, sli)


def test_the_plugin_of_sloths_documentation() -> None:
    draft = draft_of(with_plugin("plugin: {id: getting_started_availability, options: {job: web, filter: 'a=\"b\",'}}"))
    total = 'http_request_duration_seconds_count{a="b",job="web"'
    ratio = {"errors": f'{total},code=~"(5..|429)"}}', "total": f"{total}}}"}
    assert (draft.entry["sli"], draft.grade) == ({"ratio": ratio}, "exact")
    assert any("as Sloth's documentation has it" in note.text for note in draft.notes)


PRESET = """\
title: Ours
exporter: ours
source: ours
sloth: our/own
sloth_options: {where: job}
parameters: {job: {description: which, required: true}}
slo:
  name: ours
  objective: 99
  description: ours
  sli: {ratio: {errors: ['bad_total{job="$job"}', 'worse_total{job="$job"}'], total: 'all_total{job="$job"}'}}
"""


def test_a_plugin_of_a_teams_own_is_the_preset_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "own.yaml").write_text(PRESET, encoding="utf-8")
    text = with_plugin("plugin: {id: our/own, options: {where: web, filter: 'a=\"b\"'}}")
    assert "name its folder by --presets" in reasons(text)
    with presets.folders_added([tmp_path]):
        slo = slo_of(text)
        assert draft_of(text).entry["with"] == {"job": "web", "filter": 'a="b"'}
        assert draft_of(text).grade == "exact"
        assert "needs the parameter `job`" in reasons(text.replace("where", "there"))
    assert [str(selector) for selector in slo.sli.selectors()] == [
        f'{name}_total{{a="b",job="web"}}' for name in ("all", "bad", "worse")
    ]


def test_code_that_changes_rules_is_named() -> None:
    chain = (
        "    plugins: {chain: [{id: sloth.dev/contrib/rule_intervals/v1}, {id: our/own}]}\n    alerting: {name: A}\n"
    )
    draft = draft_of(sloth(BAD, ALL, more=chain))
    assert {note.text.split("(")[0][:12]: note.changed for note in draft.notes} == {
        "the plugin s": False,
        "`plugins` ch": True,
    }


HELM = RESOURCE.replace("tier: 2", 'tier: "{{ .Values.tier }}"')


@pytest.mark.parametrize("text", [HELM, RESOURCE.replace("  slos:", "  {{- if .x }}\n  y: z\n  {{- end }}\n  slos:")])
def test_a_helm_template_is_refused_by_name_with_how_to_render_it(text: str) -> None:
    result = imported(text)
    assert result.tool == "a Sloth file"
    assert "Helm template" in reasons(text)
    assert "helm template CHART | slo import -" in reasons(text)


@pytest.mark.parametrize(
    "text",
    [
        "version: prometheus/v1\nslos: []\n",
        "version: prometheus/v1\nservice: x\nslos: 3\n",
        "version: prometheus/v1\nservice: x\nslos: [3]\n",
        "version: prometheus/v1\nservice: x\nslos: [{name: y}]\n",
        "version: prometheus/v1\nservice: '//'\nslos: []\n",
        "version: prometheus/v1\nservice: x\nslos: [{name: y, objective: 99, sli: {events: 3}}]\n",
        "apiVersion: sloth.slok.dev/v1\nkind: PrometheusServiceLevel\nspec: 3\n",
        "[1, 2]\n", "just text\n", "", "a: !tag b\n", "a: [\n",
    ],
)  # fmt: skip
def test_what_is_not_a_definition_is_refused_and_never_fails(text: str) -> None:
    result = imported(text)
    assert result.refusals
    assert not result.services
