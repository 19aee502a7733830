"""What a selector says that its author hardly means: regular expressions after `=`, buckets added up, gauges counted."""

from __future__ import annotations

import math
import re

from slo.promql.ast import Aggregate, Call, Matcher, MatrixSelector, Node, VectorSelector
from slo.reading.faults import Fault, Path, Report

_COUNTER = re.compile(r".*_(?:total|count|sum|bucket)")
# Names that are gauges wherever they come from. Counters without a suffix are many, so nothing else is doubted.
_GAUGE = re.compile(r"up|probe_success|.*_(?:info|ratio|created|timestamp_seconds)")
# Only what label values hardly hold: `..` also stands in paths, `[x]` in routes and IPv6 addresses, `.` in versions.
_REGEX = re.compile(
    r"^\^|^\(\?|\.[*+]|(?<=[0-9])\.\.(?![./])|(?<=[\w)\]])\|(?=[\w(\[.])|\[\^?(?:[0-9]-[0-9]|[0-9]{2,}|[a-z]-z|A-Z)[^:\]]*\]"
    r"|\\[.]|\\[dw][+*{]"
)


def check_matchers(selector: VectorSelector, at: Path, report: Report) -> None:
    """Warns of a regular expression after `=` or `!=`: it is compared with a label's value as it stands."""
    for matcher in selector.matchers:
        if matcher.op in ("=", "!=") and matcher.label != "__name__" and _REGEX.search(matcher.value):
            meant = Matcher(matcher.label, "=~" if matcher.op == "=" else "!~", matcher.value)
            report(
                at, f"{matcher} compares with the text {matcher.value!r}, which is not a valid regular expression after "
                f"`{matcher.op}`; did you mean {meant}?", "warning",
            )  # fmt: skip


def check_one_metric(selector: VectorSelector, at: Path, report: Report) -> None:
    """Reports a counter that several metrics may be: series of one target that differ by their metric's name alone would be one
    to a server that subtracts them, and the rule would fail. Raises Fault once reported."""
    patterns = [m for m in selector.matchers if m.label == "__name__"]
    if selector.name is None and not any(m.op == "=" for m in patterns):
        report(
            at,
            f"{selector} may be several metrics, which rules cannot tell apart; name each, in a list such as [a_total, b_total]",
            "error",
        )
        raise Fault


def check_counter(selector: VectorSelector, at: Path, report: Report) -> None:
    """Reports buckets that would be added up, warns of what is not a counter."""
    name = selector.name or ""
    if name.endswith("_bucket") and not any(m.label == "le" and m.op in ("=", "=~") for m in selector.matchers):
        report(
            at, f"{selector} counts every bucket, so an event several times; name one, as in "
            f'`{name}{{le="+Inf"}}`, or count `{name.removesuffix("_bucket")}_count`', "withheld",
        )  # fmt: skip
        return
    if ":" in name:
        report(at, _recorded(name), "warning")
    elif _GAUGE.fullmatch(name):
        report(
            at,
            f"{name} is a gauge by its name; a ratio counts what counters gain. A gauge of 0 and 1 is a `probe`",
            "warning",
        )


def check_gauge(selector: VectorSelector, at: Path, report: Report) -> None:
    """Warns of a counter where the value of each sample is judged."""
    if (selector.name or "").endswith(("_total", "_bucket")):
        report(at, f"{selector.name} is a counter by its name; a probe is a gauge of 0 and 1, such as `up`", "warning")


def check_level(node: Node, at: Path, report: Report) -> None:
    """Warns of a counter whose own value is judged, by itself or added up."""
    while isinstance(node, Aggregate):
        node = node.expr
    if isinstance(node, VectorSelector) and (node.name or "").endswith("_total"):
        report(at, f"{node.name} is a counter by its name and only grows; did you mean `rate({node}[5m])`?", "warning")


def check_rated(call: Call, at: Path, report: Report) -> None:
    """Warns of `rate` and `increase` of recorded series."""
    if call.func in ("rate", "increase", "irate") and isinstance(call.args[0], MatrixSelector):
        name = call.args[0].selector.name or ""
        if ":" in name:
            report(at, _recorded(name), "warning")


def is_counter_name(name: str) -> bool:
    """Whether a name ends as counters' do."""
    return _COUNTER.fullmatch(name) is not None


def bucket_holds(outer: str, inner: str) -> bool | None:
    """Whether the bucket up to `outer` counts all that the one up to `inner` does; None where a bound is not a valid number."""
    try:
        bounds = float(outer), float(inner)
    except ValueError:
        return None
    return None if any(map(math.isnan, bounds)) else bounds[1] <= bounds[0]


def _recorded(name: str) -> str:
    return (
        f"{name} is a recorded series by its name (`:`); counted like a counter it falls whenever a target goes, which "
        "reads as a restart. Use the raw counter"
    )
