"""What Prometheus does with rules while a service fails: `promtool test rules` as a clock that runs as fast as it can."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from slo.rules import AlertRule, alert_windows, compile_specs, to_yaml
from slo.spec.load import load
from slo.spec.model import Slo, Specs
from slo.window import BurnWindow
from tests.servers import promtool

SCRAPE = 30
EVENTS_PER_SCRAPE = 3000
DEFINITION = """\
service: shop
slos:
  - name: availability
    objective: {objective}
    window: {window}
    sli:
      ratio:
        errors: requests_total{{job="shop",code="500"}}
        total: requests_total{{job="shop"}}
"""
_GOT = re.compile(r'window="(?P<window>[^"]*)"[^}]*\} (?P<value>[0-9.eE+]+)')


@dataclass(frozen=True)
class Firing:
    """From the outage's start to the first firing evaluation, and from its end to the first that fires no more; seconds."""

    window: str
    after: float
    reset: float


def definition(place: Path, objective: str = "99.9", window: str = "30d") -> Specs:
    """The SLO that all scenarios are about."""
    file = place / "shop.yaml"
    file.write_text(DEFINITION.format(objective=objective, window=window))
    return load(file)


def counter(parts: Sequence[tuple[int, float]], start: float = 0.0) -> str:
    """A series in promtool's notation: (scrapes, increase per scrape) one part after another."""
    texts, value = [f"{start:g}"], start
    for scrapes, step in parts:
        if scrapes:
            texts.append(f"{value + step:.10g}+{step:.10g}x{scrapes - 1}")
            value += step * scrapes
    return " ".join(texts)


def outage(place: Path, specs: Specs, error_ratio: float, clean: int, lasts: int, after: int) -> dict[str, Firing]:
    """Which alerts fire, by their long window, for an outage after `clean` seconds of history."""
    groups, _ = compile_specs(apart(specs))
    (place / "rules.yml").write_text(to_yaml(groups))
    bad = EVENTS_PER_SCRAPE * error_ratio
    parts = [(clean // SCRAPE, 0.0), (lasts // SCRAPE, bad), (after // SCRAPE, 0.0)]
    good = [
        (clean // SCRAPE, float(EVENTS_PER_SCRAPE)),
        (lasts // SCRAPE, EVENTS_PER_SCRAPE - bad),
        (after // SCRAPE, float(EVENTS_PER_SCRAPE)),
    ]
    end = clean + lasts + after
    fired = 'ALERTS{alertstate="firing",alertname="ErrorBudgetBurn"}'
    asked = [f"{how}_over_time(timestamp({fired})[{end}s:1m])" for how in ("min", "max")]
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": f"{SCRAPE}s",
                "input_series": [
                    {"series": 'requests_total{job="shop",instance="a",code="200"}', "values": counter(good)},
                    {"series": 'requests_total{job="shop",instance="a",code="500"}', "values": counter(parts)},
                ],
                "promql_expr_test": [
                    {"expr": expr, "eval_time": f"{end}s", "exp_samples": [{"labels": "none", "value": 1}]}
                    for expr in asked
                ],
            }
        ],
    }
    (place / "test.yml").write_text(yaml.safe_dump(test))
    said = promtool("test", "rules", place / "test.yml", timeout=900)
    answers = [line for line in (said.stdout + said.stderr).splitlines() if line.strip().startswith(("got:", "nil"))]
    text = said.stdout + said.stderr
    if "expr:" not in text:
        raise AssertionError(text)
    blocks = re.split(r"expr: ", text)[1:]
    assert len(blocks) == 2, (answers, text)
    first, last = ({m["window"]: float(m["value"]) for m in _GOT.finditer(block)} for block in blocks)
    groups_by_window = {
        alert.labels["window"]: group.interval_ms / 1000
        for group in groups
        for alert in group.rules
        if isinstance(alert, AlertRule) and alert.burns
    }
    return {
        window: Firing(window, first[window] - clean, last[window] + groups_by_window[window] - clean - lasts)
        for window in first
    }


def apart(specs: Specs) -> Specs:
    """The same SLOs with an alert for each pair of windows, so that it is seen which of them fires."""

    def own(slo: Slo) -> Slo:
        windows = alert_windows(slo)
        pairs = {
            burn: replace(slo.alerting.of_pair(burn), annotations={"pair": str(number)})
            for number, burn in enumerate(windows)
        }
        return replace(slo, alerting=replace(slo.alerting, windows=windows, pairs=pairs))

    return Specs([replace(service, slos=tuple(map(own, service.slos))) for service in specs.services])


def workbook(burn: BurnWindow, budget: float, error_ratio: float) -> tuple[float, float]:
    """(detection, reset) in seconds, as the SRE workbook computes them: long × θ ÷ E, short × (E − θ) ÷ E."""
    threshold = float(burn.factor) * budget
    return burn.long_ms / 1000 * threshold / error_ratio, burn.short_ms / 1000 * (error_ratio - threshold) / error_ratio


def windows_of(specs: Specs) -> tuple[BurnWindow, ...]:
    (slo,) = specs.values()
    return alert_windows(slo)
