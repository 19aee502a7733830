"""Rules that prove themselves: a file for `promtool test rules` that lets every alert fire, resolve and stay silent.

The tests begin at the recorded tiles, so they need no example of the raw series: an outage of a chosen error ratio,
and the moments at which the SRE workbook's formulas say what each alert must do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from slo.promql.ast import Call, Matcher, MatrixSelector, VectorSelector, quote, walk
from slo.promql.engine import Engine
from slo.promql.samples import Samples
from slo.rules import names as n
from slo.rules.alerts import COARSE_MS, alert_rules, alert_windows
from slo.rules.compile import compile_slo
from slo.rules.format import scalar
from slo.rules.groups import AlertRule, RuleGroup
from slo.rules.names import OWN, Names
from slo.rules.windows import Tiles
from slo.sli.tile import EVENT_LABEL, Tile
from slo.spec.model import Slo, Specs
from slo.window import DAY, HOUR, BurnWindow, format_duration, tile_length

_EVENTS_PER_TILE = 1_000_000


@dataclass(frozen=True, slots=True)
class _Case:
    """A pair of windows and its alert, the error ratios that its SLO has in turn, and what the alert must be when (steps)."""

    slo: Slo
    rule: AlertRule
    burn: BurnWindow
    parts: tuple[tuple[int, Fraction], ...]
    checks: tuple[tuple[int, bool, str], ...]


def rule_tests(
    specs: Specs, rule_files: Sequence[str], names: Names = OWN, groups: Iterable[RuleGroup] | None = None
) -> dict[str, str]:
    """Texts of test files, by the evaluation interval that each needs; promtool has one for a whole file.

    `rule_files` are the rules' paths as seen from the test files, `groups` those in them if not the SLOs' own. Every SLO has an outage in every test, so that the
    first alerts of all are tested together, then the second ones: a file of a hundred SLOs has no more tests than one.
    """
    cases: dict[tuple[int, int], list[_Case]] = {}
    for slo in sorted(specs.values(), key=lambda slo: (slo.service, slo.name)):
        # Alerts of short windows have windows shorter than 5 m; long ones are evaluated every 5 m anyway.
        step_ms = tile_length(slo.scrape_interval_ms) if slo.window.nominal_ms <= DAY else COARSE_MS
        tile_ms = tile_length(slo.scrape_interval_ms)
        tiles = (Tiles.of(names, slo, length_ms) for length_ms in (tile_ms, COARSE_MS))
        fine, coarse = alert_rules(slo, names, *tiles)
        if _needs_no_series(slo, tile_ms):
            continue
        for number, burn in enumerate(alert_windows(slo)):
            for rule in fine + coarse:
                if burn in rule.burns:
                    cases.setdefault((step_ms, number), []).append(_case(slo, rule, burn, step_ms))
    files = "".join(f"  - {scalar(file)}\n" for file in rule_files)
    # promtool takes groups in no order of its own, and what is slow reads what is fast.
    if groups is None:
        groups = [group for slo in specs.values() for group in compile_slo(slo, names)]
    ordered = sorted(groups, key=lambda group: (group.interval_ms, group.name))
    order = "".join(f"  - {scalar(group.name)}\n" for group in ordered)
    texts: dict[str, str] = {}
    for (step_ms, number), together in sorted(cases.items()):
        interval = format_duration(step_ms)
        head = (
            "# Run with `promtool test rules`. Made by `slo rules --tests`.\n"
            f"rule_files:\n{files}evaluation_interval: {interval}\ngroup_eval_order:\n{order}tests:\n"
        )
        texts[interval] = texts.get(interval, head) + _test(together, number, step_ms, names)
    return texts


def _needs_no_series(slo: Slo, tile_ms: int) -> bool:
    """Whether its tiles have values without any series, as `or vector(0)` gives them: those of a test would be others."""
    kept = slo.sli.recorded(Tile(tile_ms), lambda what, range_ms: MatrixSelector(VectorSelector(what), range_ms))
    nodes = [node for rule in kept for node in walk(rule.expr)]
    if not any(isinstance(node, Call) and node.func in ("vector", "time", "scalar", "absent") for node in nodes):
        return False
    nothing = Engine(Samples.from_series([]))
    return any(nothing.query_range(rule.expr, 0.0, DAY / 1000, HOUR / 1000).series for rule in kept)


def _case(slo: Slo, rule: AlertRule, burn: BurnWindow, step_ms: int) -> _Case:
    """A stretch that a pair of windows must not see, then an outage that it must."""
    budget = Fraction(slo.objective.error_budget)
    threshold = burn.factor * budget
    # Alongside the threshold of a pair of the same alert that needs more, so that this one is what fires.
    higher = [other.factor * budget for other in rule.burns if other.factor > burn.factor]
    ratio = min([Fraction(1), 4 * threshold, *((threshold + other) / 2 for other in higher)])
    # The history of a fast window is complete; that of a slow one begins here, as after the rules are loaded.
    clean = _steps(Fraction(burn.long_ms if burn.long_ms < 12 * HOUR else HOUR), step_ms)
    below = _steps(Fraction(2 * burn.short_ms), step_ms)
    fires = _steps(burn.long_ms * threshold / ratio, step_ms)
    held = _steps(Fraction(rule.for_ms), step_ms)
    lasts = fires + held + _steps(Fraction(burn.short_ms), step_ms) + 4
    # The quiet stretch burns at nine tenths of the threshold, which counts towards the long window.
    quiet = threshold * Fraction(9, 10)
    resets = max(_steps(Fraction(other.short_ms), step_ms) for other in rule.burns)
    resets += _steps(Fraction(rule.keep_firing_ms), step_ms) + 12
    parts = ((clean, Fraction(0)), (below, quiet), (lasts, ratio), (resets, Fraction(0)))
    states = _states(slo, rule, parts, step_ms)
    start = clean + below
    first = next((step for step in range(start, len(states)) if states[step]), None)
    moments = [(start, "is silent below its threshold")]
    if first is not None:
        last = max(step for step, state in enumerate(states) if state)
        if first - start > 5:
            moments.append((first - 2, "is silent until its share of the budget is consumed"))
        moments += [(first + 3, "fires"), (last + 5, "resolves")]
    # A server is up to three steps behind: it reads late, and evaluates the tiles before the alert.
    checks = tuple(
        (at, states[at], what)
        for at, what in moments
        if at + 1 < len(states) and len(set(states[max(at - 3, 0) : at + 2])) == 1
    )
    return _Case(slo, rule, burn, parts, checks)


def _states(slo: Slo, rule: AlertRule, parts: Sequence[tuple[int, Fraction]], step_ms: int) -> list[bool]:
    """Whether an alert fires after each step, by the SRE workbook's definition; without errors before the first one."""
    budget = float(slo.objective.error_budget)
    errors = [0.0, *accumulate(float(ratio) for steps, ratio in parts for _ in range(steps))]

    def before(step: float) -> float:
        whole = int(step)
        return (
            0.0
            if step <= 0
            else errors[whole] + (step - whole) * (errors[min(whole + 1, len(errors) - 1)] - errors[whole])
        )

    def above(step: int, length_ms: int, burn: BurnWindow) -> bool:
        length = length_ms / step_ms
        return (before(step) - before(step - length)) / length > float(burn.factor) * budget * (1 + 1e-9)

    states, held, kept = [], 0, 0
    waits, keeps = (_steps(Fraction(ms), step_ms) for ms in (rule.for_ms, rule.keep_firing_ms))
    for step in range(len(errors)):
        burns = any(above(step, burn.long_ms, burn) and above(step, burn.short_ms, burn) for burn in rule.burns)
        held = held + 1 if burns else 0
        firing = held > waits
        kept = keeps + 1 if firing else max(kept - 1, 0)
        states.append(firing or kept > 0)
    return states


def _test(cases: Sequence[_Case], number: int, step_ms: int, names: Names) -> str:
    step = format_duration(step_ms)
    series, checks = [], []
    for case in cases:
        slo, burn = case.slo, case.burn
        # Of the values of `by`, one stands for all.
        own = {**names.identity(slo), **dict.fromkeys(slo.by, "any")}
        identity = ",".join(str(Matcher(label, "=", value)) for label, value in own.items())
        steps = sum(count for count, _ in case.parts)
        kept = {
            "all": f"{_EVENTS_PER_TILE}x{steps}",
            "bad": _values(case.parts),
            "good": _values([(count, 1 - ratio) for count, ratio in case.parts]),
        }
        for event, word in slo.sli.event_words.items():
            name = f'{n.events_tile_name(tile_length(slo.scrape_interval_ms))}{{{identity},{EVENT_LABEL}="{word}"}}'
            series += [f"      - series: {scalar(name)}", f"        values: {scalar(kept[event])}"]
        labels = {"alertname": case.rule.name, "alertstate": "firing", "window": case.rule.labels["window"]}
        severity = case.rule.labels["severity"]
        labels |= {} if "{{" in severity else {"severity": severity}
        state = ",".join(f"{label}={quote(value)}" for label, value in labels.items()) + f",{identity}"
        for at, firing, what in case.checks:
            checks += [
                f"      # {slo.id}: the {burn.severity} over {format_duration(burn.long_ms)} {what}",
                f"      - expr: {scalar(f'count(ALERTS{{{state}}})')}",
                f"        eval_time: {format_duration(at * step_ms)}",
                "        exp_samples: " + ("[{labels: '{}', value: 1}]" if firing else "[]"),
            ]
    head = [f"  - name: {scalar(f'alert {number + 1} of each SLO')}", f"    interval: {step}", "    input_series:"]
    return "\n".join([*head, *series, "    promql_expr_test:", *checks]) + "\n"


def _values(parts: Sequence[tuple[int, Fraction]]) -> str:
    """Promtool's notation: `0x3` is four zeros; the first sample is at the start."""
    texts, first = [], True
    for steps, ratio in parts:
        count = steps + first
        if count:
            texts.append(f"{float(ratio * _EVENTS_PER_TILE):.10g}x{count - 1}")
            first = False
    return " ".join(texts)


def _steps(length_ms: Fraction, step_ms: int) -> int:
    """Steps that hold a length, rounded up."""
    return -int(-length_ms // step_ms)
