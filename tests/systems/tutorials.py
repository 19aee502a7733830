"""`python -m tests.systems.tutorials [FOLDER]` writes docs/systems: what each system promises, shows and tells its on-call.

All figures, tables and alerts come from the scenario alongside this file; a test keeps the pages up to date.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from slo.backtest import Backtest, Detection, run
from slo.display import show_duration, show_percent
from slo.promql.ast import Matcher, VectorSelector
from slo.promql.engine import Engine
from slo.promql.rules import RulesResult, run_rules
from slo.promql.samples import Samples
from slo.rules import AlertRule, alert_windows, compile_specs
from slo.rules.alerts import BURN_ALERT
from slo.rules.format import to_yaml
from slo.sli.freshness import Freshness
from slo.sli.latency import Latency
from slo.sli.native_latency import NativeLatency
from slo.sli.outage import Outage
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from slo.sli.raw import Raw
from slo.sli.threshold import Threshold
from slo.source.recording import Recording
from slo.spec.load import load
from slo.spec.model import Slo, Specs
from slo.window import format_duration
from tests.quick_yaml import read_yaml
from tests.servers import promtool
from tests.shell import run as slo

ROOT = Path(__file__).parent.parent.parent
END = "2026-10-22T00:00:00Z"
KINDS = {
    Ratio: "requests", Latency: "latency", NativeLatency: "latency", Probe: "probe", Raw: "events",
    Threshold: "threshold", Freshness: "freshness", Outage: "outage length",
}  # fmt: skip


# What a person says of each system: what it is, what to read from its ten days, and what its on-call does at night.
TEXTS: dict[str, tuple[str, str, str, str]] = {
    "faciliauto": (
        "FaciliAuto is a FastAPI car recommender: four API replicas behind nginx with Redis, run by docker compose. Its documents "
        "promise 99.5 % uptime, a p95 under 500 ms, fewer than 0.5 % errors, and capacity limits that are judged each minute.",
        "The 90 minutes of outage are more than what 3 h 36 min in thirty days leave for ten, and the half hour "
        "beyond the recovery time exhausts `recovery-time`, which allows 43 minutes a month. `memory` and `recovery-point` are "
        "far over: a leak of eight hours, and a backup that was missed for four, where a budget of 1 % or 0.1 % is small. The "
        "slow burn of `error-rate` left a third of its budget: it never paged, and two tickets reported it within the day.",
        "availability",
        "The page says which budget burns and how fast, what remains of it and until when. A plain alert (`ApiDown`) names the "
        "replica at the same time. Both are P0; the tickets that follow (P2) belong to the same outage and can wait for the morning.",
    ),
    "hitl-api": (
        "The human-in-the-loop API of an adaptive immune system: FastAPI and PostgreSQL on port 8003. Its service agreement "
        "promises 99.9 % of requests; readiness probes and the backlog of reviews stand alongside it.",
        "25 minutes of outage are more than half of the 43.2 that a month has, and in ten days of traffic they exhaust the budget. "
        "The slow burn three days later was far below every page: it is the tickets that report it. `latency` lost little: 80 "
        "minutes in which nearly everything was slow are still few of ten days' requests.",
        "availability",
        "P0 for requests and readiness, P1 for latency and the backlog. The page over 1h comes within minutes; when it resolves "
        "5 minutes after the errors end, the one over 6h stays for half an hour: the budget is still consumed, the outage is over.",
    ),
    "mcp-ultra": (
        "MCP Ultra is a Go service on Kubernetes with PostgreSQL, Redis and NATS. It promises availability over 30 d, latency over "
        "24 h and an error rate over a single hour; canaries are judged each 30 s.",
        "SLOs over 1 h and 24 h need windows of their own: 2m and 6m for the hour, 12m to 2h24m for the day, instead of 1h to "
        "3d. They fire in the scenario: six minutes of 4 % errors are nothing to a month's budget, and all of an hour's. A deployment "
        "that failed for a day shows in `deployment-frequency`; a crash loop is a plain alert.",
        "error-rate",
        "The short windows page within two minutes and reset as quickly. Their severity is `critical`, as MCP Ultra routes it; the "
        "rules come as a PrometheusRule too: `slo rules definitions/mcp-ultra.yaml --format operator`.",
    ),
    "mimir-lens": (
        "Mimir (an MCP server with PostgreSQL and Redis) and Lens (a search engine with NATS) are one integrated stack. Service is to "
        "be restored within 15 minutes of every outage.",
        "An outage of 40 minutes is 25 longer than the promise: `recovery-time` judges the minutes beyond it and exhausts, and "
        "its mean time to recovery stands in `slo status --json` (`mttr_seconds`). An error budget of 5 % is wide: it takes "
        "nine of ten requests failing for over 48 minutes until it pages, which is what a budget of 5 % means.",
        "recovery-time",
        "Two pages say two things: `availability` that it is down, after a minute or two; `recovery-time` that it has been down for "
        "longer than was promised. The second is the one to escalate.",
    ),
    "omnimind": (
        "OmniMind is ten MCP servers behind systemd and nginx. Its core services promise 99.9 % a month, the health check 99.99 %, and "
        "ports 4339 and 4340 a throughput. Its documents' figures for 99 % (14.4 h a month) and 99.99 % (2.6 min) are "
        "wrong; the definitions say the right ones: 7.2 h and 4.32 min.",
        "Availability is over calendar months. Five minutes without a health check are more than the month's 4.32. An outage of "
        "150 minutes is three and a half times the core's budget, and the half hour beyond two hours is what `recovery-time` is about. "
        "The slow burn of port 4339's latency never pages: 4.5 % above 5 ms is 4.5 times its pace.",
        "core-availability",
        "P0 for the core and the health check. The health check's alerts wait for three failed checks (`least_errors`), as a single one "
        "of an hour's 480 would be above its threshold already.",
    ),
}  # fmt: skip


def page(name: str) -> str:
    """A system's page."""
    intro, reading, paged, on_call = TEXTS[name]
    specs = load(ROOT / "definitions" / f"{name}.yaml")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(ROOT):
        file = str(Path(folder) / f"{name}.parquet")
        simulated = (f"definitions/{name}.yaml", "--scenario", f"tests/systems/{name}.yaml", "--days", "10", "--seed", "1", "--end", END)  # fmt: skip
        done = slo("simulate", *simulated, "-o", file, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        shown = slo("status", f"definitions/{name}.yaml", "--source", file, cwd=ROOT).stdout
        recording = Recording.open(file)
        tested = run(specs, recording)
        alert = _alert(specs, recording, paged, tested)
    table = "\n".join(line.rstrip() for line in shown.splitlines()[: len(specs) + 1])
    title = specs.services[0].description
    return f"""\
# {name}

{intro} ({title}.)

## SLOs
{_slos(specs)}

The definition is [definitions/{name}.yaml](../../definitions/{name}.yaml).{_plain(specs)}

## Ten days in which all goes wrong
[tests/systems/{name}.yaml](../../tests/systems/{name}.yaml) is a scenario of what the system fears, each once:

```sh
slo simulate definitions/{name}.yaml --scenario tests/systems/{name}.yaml \\
  --days 10 --seed 1 --end {END} -o {name}.parquet
slo status definitions/{name}.yaml --source {name}.parquet
slo report definitions/{name}.yaml --source {name}.parquet -o out
```

```
{table}
```

{reading} (The recording holds ten days of longer windows: here a budget is that of the events so far; below, of a whole window.)

## What fired
`slo backtest definitions/{name}.yaml --source {name}.parquet`. A test replays the same on a real Prometheus
and finds the same alerts at the same evaluations, and no others ([how](../backtest.md)).

{_fired(tested)}

## What the on-call sees
{on_call}

```yaml
{alert}
```
"""


def _slos(specs: Specs) -> str:
    rows = ["| objective | target | over | counted by | budget | alerts |", "|---|--:|--:|---|--:|---|"]
    for spec in specs.values():
        minutes = float(spec.objective.error_budget) * spec.window.nominal_ms / 1000
        kind = next(text for sli, text in KINDS.items() if isinstance(spec.sli, sli))
        rows.append(
            f"| {spec.name} | {spec.objective}{_detail(spec)} | {spec.window} | {kind} | {show_duration(minutes)} | {_alerts(spec)} |"
        )
    return "\n".join(rows)


def _detail(spec: Slo) -> str:
    match spec.sli:
        case Latency(threshold_seconds=seconds):
            return f" under {show_duration(float(seconds)) if seconds >= 60 else f'{float(seconds) * 1000:g} ms'}"
        case Threshold(op=op, bound=bound):
            return f" {op} {bound.normalize():,f}"
        case Freshness(max_age_ms=age):
            return f" younger than {format_duration(age)}"
        case Outage(longest_ms=longest):
            return f" no longer than {format_duration(longest)}"
    return ""


def _alerts(spec: Slo) -> str:
    lines = []
    for severity in ("page", "ticket"):
        alert = spec.alerting.of(severity)
        windows = [format_duration(burn.long_ms) for burn in alert_windows(spec) if burn.severity == severity]
        if alert.enabled and windows:
            lines.append(f"{alert.labels.get('severity', severity)}: {', '.join(windows)}")
    return "; ".join(lines) or "none"


def _plain(specs: Specs) -> str:
    names = [alert.name for service in specs.services for alert in service.alerts]
    return f" Next to its SLOs it has the plain alerts {', '.join(names)}." if names else ""


def _fired(tested: Backtest) -> str:
    rows = [
        "| incident | SLO | lasted | budget consumed | first alert | after | consumed by then |",
        "|---|---|--:|--:|---|--:|--:|",
    ]
    detections: list[tuple[str, Detection]] = [
        (outcome.slo.partition("/")[2], detection) for outcome in tested.policies[0].outcomes.values() for detection in outcome.caught
    ]  # fmt: skip
    for name, entry in sorted(detections, key=lambda item: item[1].incident.start_ms):
        lasted = show_duration((entry.incident.end_ms - entry.incident.start_ms) / 1000)
        rows.append(
            f"| {entry.incident.name} | {name} | {lasted} | {show_percent(entry.incident.budget_share)} | {entry.alert} ({entry.severity}) | "
            f"{show_duration(entry.delay_seconds)} | {show_percent(entry.consumed)} |"
        )
    return "\n".join(rows)


def _alert(specs: Specs, recording: Recording, name: str, tested: Backtest) -> str:
    """The first page of an SLO as Alertmanager gets it: labels and annotations, filled in."""
    spec = next(slo_spec for slo_spec in specs.values() if slo_spec.name == name)
    groups, _ = compile_specs(specs)
    own = [group for group in groups if group.slo == name]

    result: RulesResult = run_rules(
        read_yaml(to_yaml(own)), recording.all(), recording.header.start_ms / 1000, recording.header.end_ms / 1000
    )
    [first, *_] = sorted(
        (alert for alert in result.alerts if alert.state == "firing" and alert.name == BURN_ALERT),
        key=lambda entry: entry.start_ms,
    )
    rule = next(
        rule
        for group in own
        for rule in group.rules
        if isinstance(rule, AlertRule) and rule.labels.items() <= dict(first.labels).items()
    )
    # What an annotation asks for is answered a moment later, when the window's rules have been evaluated too.
    engine = Engine(Samples((*recording.all().series, *result.recorded.series)))
    at = first.start_ms / 1000
    lines = [f"# {spec.id}, {datetime.fromtimestamp(at, UTC):%d %b %Y %H:%M} UTC", "labels:"]
    lines += [f"  {label}: {text}" for label, text in sorted(first.labels) if label != "__name__"]
    lines.append("annotations:")
    lines += [f"  {key}: {text}" for key, text in _filled_in(engine, rule, at).items()]
    return "\n".join(lines)


def _filled_in(engine: Engine, rule: AlertRule, at: float) -> dict[str, str]:
    """The annotations of an alert at a moment, as promtool fills them in: it is shown what was recorded then."""
    import yaml

    series = [
        {"series": str(VectorSelector(name, tuple(Matcher(k, "=", v) for k, v in labels))), "values": repr(value)}
        for name, labels, value in (
            (
                dict(row.labels)["__name__"],
                sorted((k, v) for k, v in dict(row.labels).items() if k != "__name__"),
                float(row.values[0]),
            )
            for row in engine.query('{__name__=~"slo:.*"}', at=at).series
        )
    ]
    # promtool begins at this moment: the history that the alert's own expression asks for is not there.
    [burning] = engine.query(rule.expr, at=at).series
    expr = f"vector({float(burning.values[0])!r})"
    for label, text in dict(burning.labels).items():
        expr = f'label_replace({expr}, "{label}", "{text}", "", "")'
    own = {"alert": rule.name, "expr": expr, "annotations": dict(rule.annotations)}
    test = {
        "rule_files": ["rules.yml"],
        "tests": [
            {
                "interval": "1m",
                "input_series": series,
                # Nothing is expected, so that it says what there is.
                "alert_rule_test": [{"eval_time": "0m", "alertname": rule.name, "exp_alerts": []}],
            }
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [own]}]}))
        (place / "test.yml").write_text(yaml.safe_dump(test))
        said = promtool("test", "rules", place / "test.yml")
    annotations = re.search(r"Annotations:\{(.*)\}", said.stdout + said.stderr)
    assert annotations is not None, said.stdout + said.stderr
    return {key: json.loads(text) for key, text in re.findall(r'(\w+)=("(?:[^"\\]|\\.)*")', annotations[1])}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "systems"
    folder.mkdir(parents=True, exist_ok=True)
    for name in TEXTS:
        (folder / f"{name}.md").write_text(page(name), encoding="utf-8")


if __name__ == "__main__":
    main()
