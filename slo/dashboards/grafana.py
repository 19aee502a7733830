"""The pieces of a Grafana dashboard (schema 39, which Grafana 10 to 12 read), as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 24
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
Steps = Sequence[tuple[float | None, str]]


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """PromQL with Grafana's variables. `now`: asked at the end of the time range only; `table`: one row a series."""

    expr: str
    legend: str = ""
    now: bool = False
    table: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `width` and `height` are in Grafana's grid of 24 columns; `steps` are thresholds from the lowest."""

    title: str
    kind: str
    queries: Sequence[PanelQuery]
    width: int
    height: int
    unit: str = "none"
    steps: Steps = ((None, BLUE),)
    description: str = ""
    decimals: int | None = None
    least: float | None = None
    most: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    custom: dict[str, Any] = field(default_factory=dict)
    overrides: Sequence[dict[str, Any]] = ()
    transformations: Sequence[dict[str, Any]] = ()

    def data(self, number: int, x: int, y: int) -> dict[str, Any]:
        """As Grafana has it, at a place of the grid."""
        defaults: dict[str, Any] = {
            "unit": self.unit,
            "thresholds": {
                "mode": "absolute",
                "steps": [{"color": color, "value": value} for value, color in self.steps],
            },
        }
        for key, value in (
            ("decimals", self.decimals),
            ("min", self.least),
            ("max", self.most),
            ("custom", self.custom or None),
        ):
            if value is not None:
                defaults[key] = value
        panel: dict[str, Any] = {
            "id": number,
            "title": self.title,
            "type": self.kind,
            "datasource": _DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [_target(query, index) for index, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": defaults, "overrides": list(self.overrides)},
            "options": self.options,
        }
        if self.description:
            panel["description"] = self.description
        if self.transformations:
            panel["transformations"] = list(self.transformations)
        return panel


def _target(query: PanelQuery, index: int) -> dict[str, Any]:
    target: dict[str, Any] = {"refId": chr(ord("A") + index), "datasource": _DATASOURCE, "expr": query.expr}
    target["legendFormat"] = query.legend or "__auto"
    target |= {"instant": True, "range": False} if query.now or query.table else {"instant": False, "range": True}
    return target | ({"format": "table"} if query.table else {})


def stat(title: str, expr: str, width: int, unit: str = "none", steps: Steps = ((None, BLUE),), **more: Any) -> Panel:
    """One number."""
    options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"}
    return Panel(title, "stat", [PanelQuery(expr, now=True)], width, 4, unit, steps, options=options, **more)


def lines(
    title: str,
    queries: Sequence[PanelQuery],
    width: int,
    unit: str = "percentunit",
    steps: Steps = ((None, BLUE),),
    **more: Any,
) -> Panel:
    """Lines over time; thresholds, if there are several, are drawn as lines too."""
    custom: dict[str, Any] = {"lineWidth": 1, "fillOpacity": 0, "spanNulls": False, **more.pop("custom", {})}
    if len(steps) > 1:
        custom["thresholdsStyle"] = {"mode": "line"}
    options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return Panel(title, "timeseries", queries, width, 9, unit, steps, options=options, custom=custom, **more)


def variable(name: str, query: str, label: str, several: bool) -> dict[str, Any]:
    """A list of a label's values to choose from; with `several` all, some or one of them."""
    variable_data: dict[str, Any] = {
        "name": name, "label": label, "type": "query", "datasource": _DATASOURCE, "refresh": 2, "sort": 1,
        "definition": query, "query": {"query": query, "refId": name}, "multi": several, "includeAll": several,
    }  # fmt: skip
    if several:
        # What has no such label is shown too.
        variable_data |= {"allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    return variable_data


def dashboard(
    uid: str,
    title: str,
    panels: Sequence[Panel],
    variables: Sequence[dict[str, Any]],
    annotations: Sequence[dict[str, Any]] = (),
    links: Sequence[dict[str, Any]] = (),
    since: str = "now-7d",
) -> dict[str, Any]:
    """A dashboard whose panels fill rows from the left."""
    placed, x, y, tallest = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        placed.append(panel.data(number, x, y))
        x, tallest = x + panel.width, max(tallest, panel.height)
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    return {
        "uid": uid, "title": title, "tags": ["slo"], "schemaVersion": 39, "version": 1, "editable": True, "refresh": "1m",
        "time": {"from": since, "to": "now"}, "timezone": "browser", "links": list(links),
        "templating": {"list": [source, *variables]}, "annotations": {"list": list(annotations)}, "panels": placed,
    }  # fmt: skip


def link(title: str, url: str, keep_time: bool = False) -> dict[str, Any]:
    """A link at the top of a dashboard. Its address may hold the dashboard's variables."""
    return {"type": "link", "title": title, "url": url, "keepTime": keep_time, "targetBlank": not keep_time}


def firing(expr: str, title: str) -> dict[str, Any]:
    """Alerts that fire, as marks on all panels."""
    return {
        "name": "Alerts", "datasource": _DATASOURCE, "enable": True, "iconColor": RED, "expr": expr, "titleFormat": title, "step": "60s",
    }  # fmt: skip
