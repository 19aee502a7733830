"""Comments for pint, Cloudflare's linter of rules: which of its checks do not fit these rules, and why.

What holds for whole files is said once at their top, what holds for some rules at each of them, so that a team's own alerts
alongside them are checked as usual. `docs/linting.md` says it to people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from slo.promql.ast import COMPARISONS, Binary, Call, MatrixSelector, Node, VectorSelector, children, walk
from slo.rules.groups import AlertRule, Rule

# Of a whole file, with the reason.
FILE_CHECKS = {
    "rule/dependency": "All SLOs record under the same names. What one group reads of another is read late on purpose.",
    "promql/range_query": "Windows longer than the server's memory are meant: slo:period_coverage:ratio says how much it has.",
    "promql/series": "Recorded series and error codes may be missing at first: `slo check --source` asks for what must be there.",
}
# Functions by which a counter may be read as it is.
_COUNTER_SAFE = frozenset(
    {
        "rate", "irate", "increase", "resets", "changes", "timestamp", "absent", "absent_over_time", "present_over_time",
        "count_over_time",
    }
)  # fmt: skip
_COUNTER_SAFE_AGGREGATIONS = frozenset({"count", "group"})


def file_comments() -> Iterator[str]:
    """The lines at the top of a file, without `# `."""
    for check, reason in FILE_CHECKS.items():
        yield reason
        yield f"pint file/disable {check}"


def counters(selectors: Iterable[VectorSelector], *, every: bool) -> frozenset[str]:
    """The names of the metrics that are counters: all of them, or those that are called as counters are."""
    names = (selector.name or "" for selector in selectors)
    return frozenset(name for name in names if every or name.endswith(("_total", "_count", "_bucket")))


def not_meant(rule: Rule, counted: frozenset[str]) -> tuple[str, ...]:
    """The checks that a rule is not meant for; `counted` are the names of the counters."""
    texts = []
    if any(node.name in counted for node in _read_as_they_are(rule.expr)):
        texts.append("promql/counter")
    if any(
        matcher.label == "le" and matcher.op in ("=~", "!~")
        for node in walk(rule.expr)
        if isinstance(node, VectorSelector)
        for matcher in node.matchers
    ):
        texts.append("promql/regexp")
    if isinstance(rule, AlertRule) and not any(
        isinstance(node, Binary) and node.op in COMPARISONS for node in walk(rule.expr)
    ):
        texts.append("alerts/comparison")
    return tuple(texts)


def _read_as_they_are(node: Node) -> Iterator[VectorSelector]:
    """The selectors whose values an expression reads, but by functions that are made for counters."""
    match node:
        case VectorSelector():
            yield node
        case Call(func=func) if func in _COUNTER_SAFE:
            return
        case _ if getattr(node, "op", "") in _COUNTER_SAFE_AGGREGATIONS:
            return
        case MatrixSelector(selector=selector):
            yield selector
        case _:
            for child in children(node):
                yield from _read_as_they_are(child)
