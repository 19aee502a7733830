"""What Prometheus does with rules while a service fails: by `promtool test rules`, and by a server over a history."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

from slo.backtest.policy import of_definitions
from slo.promql.rules import run_rules
from slo.promql.samples import Samples
from slo.rules import AlertRule, alert_windows, compile_specs, to_yaml
from slo.spec.load import load
from slo.spec.model import Slo, Specs
from slo.window import BurnWindow
from tests.rules.history import HOUR
from tests.rules.replay import alerts_recorded, backfill
from tests.servers import Prometheus, load_openmetrics, promtool

# A full five minutes.
_T0 = 1_790_000_100
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


# The same SLO under names by which a server evaluates its groups at other moments.
NAMES = ("a", "b", "c")


def outages(
    place: Path, lasts: Mapping[float, int], clean: int, after: int
) -> dict[tuple[float, str], tuple[Firing, ...]]:
    """What a Prometheus fires in outages of (error ratio: seconds), by error ratio and long window, for each of `NAMES`.

    Its rule manager evaluates the rules over the history, each group at its own interval and moments.
    """
    text = "service: shop\nslos:\n"
    for ratio in lasts:
        for name in NAMES:
            selector = f'requests_total{{job="{ratio:g}"'
            text += (
                f"  - {{name: {name}-{ratio:g}, objective: 99.9, "
                f"sli: {{ratio: {{errors: '{selector},code=\"500\"}}', total: '{selector}}}'}}}}}}\n"
            )
    (place / "shop.yaml").write_text(text)
    groups = alerts_recorded(compile_specs(apart(load(place / "shop.yaml")))[0])
    begin, end = _T0, _T0 + clean + max(lasts.values()) + after
    (place / "history.txt").write_text("".join(_lines(lasts, clean, begin, end)))
    data = load_openmetrics(place / "history.txt", place / "data")
    backfill(place, data, groups, begin + HOUR, end)
    fired_by_case: dict[tuple[float, str], tuple[Firing, ...]] = {}
    interval = {rule.name: group.interval_ms // 1000 for group in groups for rule in group.rules}
    with Prometheus(place, data=data) as server:
        for ratio, seconds in lasts.items():
            for name in interval:
                window = name.removeprefix("alert:")
                fired = []
                for slo in NAMES if window != name else ():
                    rows = server.query(f'{{__name__="{name}",slo="{slo}-{ratio:g}"}}[{end - begin}s]', end)
                    times = [float(at) for row in rows for at, _ in row["values"]]
                    if times:
                        last = max(times) + interval[name] - begin - clean - seconds
                        fired.append(Firing(window, min(times) - begin - clean, last))
                if fired:
                    assert len(fired) == len(NAMES)
                    fired_by_case[ratio, window] = tuple(fired)
    return fired_by_case


def _lines(lasts: Mapping[float, int], clean: int, begin: int, end: int) -> Iterator[str]:
    """OpenMetrics text: each job fails at its ratio for a while, right after a scrape."""
    yield "# TYPE requests counter\n"
    for ratio, seconds in lasts.items():
        failing = [clean < at <= clean + seconds for at in range(0, end - begin + 1, SCRAPE)]
        bad = np.cumsum(np.where(failing, EVENTS_PER_SCRAPE * ratio, 0.0))
        good = EVENTS_PER_SCRAPE * np.arange(1, len(bad) + 1) - bad
        for code, values in (("200", good), ("500", bad)):
            series = f'requests_total{{job="{ratio:g}",instance="a",code="{code}"}}'
            yield from (f"{series} {value:.10g} {begin + at * SCRAPE}\n" for at, value in enumerate(values))
    yield "# EOF\n"


PHASES = (0, 15, 30, 45)  # s after a full minute, at which groups are evaluated
FAILING = (1.0, 0.2, 0.05)
_CLEAN, _LASTS = 4500, 1500
_EVERY_15_S = 15
PAGE = 'ALERTS{alertstate="firing",severity="page"}'


def fast_definition(place: Path) -> Specs:
    """The SLO of the table of first pages: scraped every 15 s."""
    file = place / "fast.yaml"
    text = DEFINITION.format(objective="99.9", window="30d")
    file.write_text(text.replace("slos:", "defaults: {scrape_interval: 15s}\nslos:"))
    return load(file)


def _failing(ratio: float, phase: int) -> tuple[list[tuple[int, float]], list[tuple[int, float]], int, int]:
    """(what fails, what does not, start, end) of an outage that begins right after a scrape, `phase` after a full minute; s."""
    start, step = _CLEAN + phase, 1500.0
    before, lasts = start // _EVERY_15_S, _LASTS // _EVERY_15_S
    bad = [(before, 0.0), (lasts, step * ratio)]
    good = [(before, step), (lasts, step * (1 - ratio))]
    return bad, good, start, start + _LASTS


def first_pages(place: Path) -> dict[tuple[float, int], float]:
    """Seconds from an outage's start to the first evaluation at which it pages, by promtool: by (error ratio, phase)."""
    groups, _ = compile_specs(fast_definition(place))
    (place / "rules.yml").write_text(to_yaml(groups))
    tests, starts = [], {}
    for ratio in FAILING:
        for phase in PHASES:
            bad, good, start, end = _failing(ratio, phase)
            case = f"{ratio:g} {phase}"
            starts[case] = (ratio, phase, start)
            first = f"min(min_over_time(timestamp({PAGE})[{end}s:1m]))"
            tests.append(
                {
                    "interval": f"{_EVERY_15_S}s",
                    "input_series": [
                        {"series": 'requests_total{job="shop",instance="a",code="200"}', "values": counter(good)},
                        {"series": 'requests_total{job="shop",instance="a",code="500"}', "values": counter(bad)},
                    ],
                    "promql_expr_test": [
                        {
                            "expr": f'label_replace({first}, "case", "{case}", "", "")',
                            "eval_time": f"{end}s",
                            "exp_samples": [{"labels": "none", "value": 1}],
                        }
                    ],
                }
            )
    test = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (place / "first.yml").write_text(yaml.safe_dump(test))
    said = promtool("test", "rules", place / "first.yml", timeout=900)
    seconds = {}
    for case, value in re.findall(r'\{case="([^"]*)"\} ([0-9.eE+]+)', said.stdout + said.stderr):
        ratio, phase, start = starts[case]
        seconds[ratio, phase] = float(value) - start
    assert len(seconds) == len(starts), said.stdout + said.stderr
    return seconds


def first_pages_by_engine(place: Path) -> dict[tuple[float, int], float]:
    """The same by our own engine, without a server."""
    groups = of_definitions(fast_definition(place)).groups
    first = {}
    for ratio in FAILING:
        for phase in PHASES:
            bad, good, start, end = _failing(ratio, phase)
            rows = []
            for code, parts in (("200", good), ("500", bad)):
                steps = np.concatenate([[0.0], *(np.full(scrapes, step) for scrapes, step in parts)])
                labels = {"__name__": "requests_total", "job": "shop", "instance": "a", "code": code}
                times = _T0 * 1000 + _EVERY_15_S * 1000 * np.arange(len(steps))
                rows.append((labels, times, np.cumsum(steps)))
            ran = run_rules(groups, Samples.from_series(rows), _T0, _T0 + end)
            pages = [
                alert.start_ms
                for alert in ran.alerts
                if alert.state == "firing" and ("severity", "page") in alert.labels
            ]
            first[ratio, phase] = min(pages) / 1000 - _T0 - start
    return first


def first_pages_table(pages: Mapping[tuple[float, int], float]) -> Iterator[str]:
    """Rows of docs/alerting.md."""
    yield "| failing | " + " | ".join(f"{phase} s" for phase in PHASES) + " | workbook |"
    yield "|---|" + "---|" * (len(PHASES) + 1)
    for ratio in FAILING:
        cells = " | ".join(f"{pages[ratio, phase]:,.0f} s" for phase in PHASES)
        yield f"| {ratio * 100:g} % | {cells} | {3600 * 14.4 * 0.001 / ratio:,.0f} s |"


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
