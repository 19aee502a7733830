"""The two dashboards: which panels there are, and what each asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slo.dashboards.grafana import GREEN, RED, YELLOW, Panel, PanelQuery, dashboard, firing, lines, link, stat, variable
from slo.rules import names as n
from slo.window import CATALOGUE, DAY, HOUR, MINUTE, burn_threshold, format_duration

OVERVIEW, DETAIL = "slo-overview", "slo-detail"
_INFO = n.OWN.info
_ON = "on (service, slo)"
_CHOSEN = f'{_ON} group_left () {_INFO}{{service=~"$service",owner=~"$owner"}}'
_ONE = '{service="$service",slo="$slo"}'
_SEVERAL = '{service=~"$service"}'
_BUDGET_STEPS = ((None, RED), (0.0, YELLOW), (0.25, GREEN))
# Above 1 the budget does not last; at the fastest page's burn rate it is a page.
_BURN_STEPS = ((None, GREEN), (1.0, YELLOW), (6.0, RED))
_RATIOS_MS = (5 * MINUTE, HOUR, 6 * HOUR, DAY, 3 * DAY)


@dataclass(frozen=True, slots=True)
class Links:
    """Where the dashboards lead: the report, and the runbook of an SLO, with `${service}` and `${slo}` in it. Empty: nowhere."""

    report: str = ""
    runbook: str = ""


def dashboards(links: Links | None = None) -> dict[str, dict[str, Any]]:
    """Both, by their uid."""
    links = links or Links()
    return {OVERVIEW: overview(links), DETAIL: detail(links)}


def overview(links: Links) -> dict[str, Any]:
    """All SLOs, worst first."""
    remaining, burn, error, coverage = (
        _chosen(name) for name in (n.BUDGET_REMAINING, n.CURRENT_BURN_RATE, n.PERIOD_ERROR, n.PERIOD_COVERAGE)
    )
    objective = _chosen(n.OBJECTIVE)
    alerts = 'count(count by (service, slo) (ALERTS{alertstate="firing",slo!="",service=~"$service"})) or vector(0)'
    panels = [
        stat("SLOs", f"count({objective})", 6),
        stat("Error budget exhausted", f"count({remaining} <= 0) or vector(0)", 6, steps=((None, GREEN), (1.0, RED))),
        stat("With a firing alert", alerts, 6, steps=((None, GREEN), (1.0, RED))),
        stat("Without data", f"count({objective} unless {_ON} {n.PERIOD_ERROR}) or vector(0)", 6, steps=((None, GREEN), (1.0, YELLOW))),
        _table(
            [
                PanelQuery(f"sort({remaining})", table=True),
                PanelQuery(burn, table=True),
                PanelQuery(f"1 - ({error})", table=True),
                PanelQuery(objective, table=True),
                PanelQuery(coverage, table=True),
                PanelQuery(f'{_INFO}{{service=~"$service",owner=~"$owner"}}', table=True),
            ],
            links.runbook,
        ),
        lines(
            "Error budget remaining, the ten lowest", [PanelQuery(f"bottomk(10, {remaining})", "{{service}}/{{slo}}")], 12, steps=((None, RED), (0.0, GREEN)),
        ),
        lines("Burn rate now, the ten highest", [PanelQuery(f"topk(10, {burn})", "{{service}}/{{slo}}")], 12, "none", _BURN_STEPS),
        Panel(
            "Lowest error budget by owner", "bargauge",
            [PanelQuery(f"min by (owner) ({n.BUDGET_REMAINING}{_SEVERAL} * {_ON} group_left (owner) {_INFO}{{owner=~\"$owner\"}})", "{{owner}}", now=True)],
            24, 8, "percentunit", _BUDGET_STEPS, most=1.0,
            options={"orientation": "horizontal", "displayMode": "basic", "reduceOptions": {"calcs": ["lastNotNull"]}},
        ),
    ]  # fmt: skip
    chosen = [
        variable("service", f"label_values({n.OBJECTIVE}, service)", "Service", True),
        variable("owner", f'label_values({_INFO}{{service=~"$service"}}, owner)', "Owner", True),
    ]
    marks = firing(
        'ALERTS{alertstate="firing",severity="page",slo!="",service=~"$service"}', "{{service}}/{{slo}}: {{alertname}}"
    )
    return dashboard(OVERVIEW, "SLOs: overview", panels, chosen, [marks], _report(links))


def detail(links: Links) -> dict[str, Any]:
    """One SLO: budget, error ratio, burn rates, alerts, events."""
    objective, remaining = n.OBJECTIVE + _ONE, n.BUDGET_REMAINING + _ONE
    budget = f"(1 - {objective})"
    ratios = [(format_duration(window), n.error_ratio_name(window) + _ONE) for window in _RATIOS_MS]
    factors = [(float(burn_threshold(share, 30 * DAY, window)), severity) for severity, window, share in CATALOGUE]
    burn_steps = (
        (None, GREEN),
        *sorted((factor, RED if severity == "page" else YELLOW) for factor, severity in factors),
    )
    panels = [
        stat("Error budget remaining", remaining, 5, "percentunit", _BUDGET_STEPS, decimals=1),
        stat("SLI over the window", f"1 - {n.PERIOD_ERROR}{_ONE}", 5, "percentunit", decimals=3),
        stat("Objective", objective, 5, "percentunit", decimals=3),
        stat("Burn rate now", n.CURRENT_BURN_RATE + _ONE, 5, "none", _BURN_STEPS, decimals=2),
        stat("Window with data", n.PERIOD_COVERAGE + _ONE, 4, "percentunit", ((None, YELLOW), (0.99, GREEN)), decimals=0),
        lines("Error budget remaining", [PanelQuery(remaining, "remaining")], 12, steps=((None, RED), (0.0, GREEN))),
        lines("Error ratio", [PanelQuery(expr, window) for window, expr in ratios] + [PanelQuery(budget, "budget")], 12, least=0.0),
        lines("Burn rate", [PanelQuery(f"{expr} / {_ON} {budget}", window) for window, expr in ratios[1:]], 12, "none", burn_steps, least=0.0),
        lines(
            "Events per 5m", [PanelQuery(f"sum by (event) ({n.events_tile_name(5 * MINUTE)}{_ONE})", "{{event}}")], 12, "short",
            custom={"drawStyle": "bars", "fillOpacity": 60}, least=0.0,
        ),
        Panel(
            "Alerts", "state-timeline", [PanelQuery(f"max by (alertname, severity, alertstate) (ALERTS{_ONE})", "{{severity}} {{alertname}} {{alertstate}}")],
            24, 6, steps=((None, RED),), options={"showValue": "never", "mergeValues": True},
        ),
    ]  # fmt: skip
    chosen = [
        variable("service", f"label_values({n.OBJECTIVE}, service)", "Service", False),
        variable("slo", f'label_values({n.OBJECTIVE}{{service="$service"}}, slo)', "SLO", False),
    ]
    marks = firing(f'ALERTS{{alertstate="firing",{_ONE[1:]}', "{{severity}}: {{alertname}}")
    back = link("All SLOs", f"/d/{OVERVIEW}", keep_time=True)
    runbook = [link("Runbook", links.runbook)] if links.runbook else []
    return dashboard(
        DETAIL, "SLOs: detail", panels, chosen, [marks], [back, *runbook, *_report(links)], since="now-30d"
    )


def _report(links: Links) -> list[dict[str, Any]]:
    return [link("Report", links.report)] if links.report else []


def _chosen(name: str) -> str:
    """A recorded series of the SLOs of the chosen services and owners."""
    return f"{name}{_SEVERAL} * {_CHOSEN}"


def _table(queries: list[PanelQuery], runbook: str) -> Panel:
    columns = ("Error budget remaining", "Burn rate", "SLI", "Objective", "Window with data", "info")
    renamed = {f"Value #{chr(ord('A') + index)}": column for index, column in enumerate(columns)}
    shares = ("Error budget remaining", "SLI", "Window with data", "Objective")
    hidden = {"Time": True, "__name__": True, "info": True, "instance": True, "job": True, "Value #F": True}
    row = [
        {"title": "Detail", "url": f"/d/{DETAIL}?var-service=${{__data.fields.service}}&var-slo=${{__data.fields.slo}}"}
    ]
    if runbook:
        url = runbook.replace("${service}", "${__data.fields.service}").replace("${slo}", "${__data.fields.slo}")
        row.append({"title": "Runbook", "url": url})
    return Panel(
        "SLOs, worst first", "table", queries, 24, 12,
        transformations=[
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": hidden, "renameByName": renamed}},
            {"id": "sortBy", "options": {"sort": [{"field": "Error budget remaining"}]}},
        ],
        overrides=[
            *({"matcher": {"id": "byName", "options": share}, "properties": [{"id": "unit", "value": "percentunit"}]} for share in shares),
            {
                "matcher": {"id": "byName", "options": "Error budget remaining"},
                "properties": [
                    {"id": "custom.cellOptions", "value": {"type": "color-text"}},
                    {"id": "thresholds", "value": {"mode": "absolute", "steps": [{"color": c, "value": v} for v, c in _BUDGET_STEPS]}},
                ],
            },
            {"matcher": {"id": "byName", "options": "slo"}, "properties": [{"id": "links", "value": row}]},
        ],
    )  # fmt: skip
