"""Each metric is of the type that its kind of SLI needs: by the server's metadata, and by its values."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from slo.check.model import Finding, Probed, page
from slo.check.series import matched
from slo.promql.ast import VectorSelector
from slo.sli.counted import CountedSli

_PARTS = ("_bucket", "_count", "_sum")
_FALLS = 0.2  # a counter restarts now and then; a gauge falls at every second sample or so
_FEWEST = 10
_UNIX = (1e8, 1e11)  # seconds: 1973 to 5138; milliseconds are beyond


def check_types(probed: Probed) -> Iterator[Finding]:
    """Metrics of another type, and values that cannot be of it."""
    sli = probed.slo.sli
    metric = probed.total
    if sli.measured_by == "native histogram":
        if matched(probed, metric) and not probed.ask(f"count(histogram_count({metric}))"):
            message = f"{metric.name} has no native histograms; leave `native: true` out"
            yield probed.finding("histogram", "error", message)
    elif sli.measured_by == "checks":
        findings = list(_of_type(probed, metric, "gauge", "a probe is a gauge of 0 and 1"))
        yield from findings or _outside(probed, metric)
    elif sli.measured_by == "timestamp":
        yield from _of_type(probed, metric, "gauge", "a timestamp is a gauge")
        newest = probed.number(f"max({metric})")
        if newest is not None and not _UNIX[0] <= newest <= _UNIX[1]:
            unit = "milliseconds" if newest > _UNIX[1] else "not a time"
            message = f"{metric.name} is {newest:g}, which is {unit}; `freshness` needs Unix seconds"
            yield probed.finding("type", "error", message)
    elif isinstance(sli, CountedSli):
        for counter in dict.fromkeys((*sli.counters()[0], *sli.counters()[1])):
            wanted = "histogram" if sli.buckets is not None else "counter"
            findings = list(_of_type(probed, counter, wanted, f"a {sli.key} counts what {wanted}s gain"))
            yield from findings or _falling(probed, counter)


def _of_type(probed: Probed, selector: VectorSelector, wanted: str, why: str) -> Iterator[Finding]:
    name = selector.name or ""
    type_ = metadata_type(probed, name)
    accepted = {"counter": {"counter", "histogram", "gaugehistogram", "summary"}, "histogram": {"histogram"}}
    if type_ is not None and type_ not in accepted.get(wanted, {wanted}) | {"unknown"}:
        yield probed.finding(
            "type", "error", f"{name} is a {type_}, by the server's metadata, and {why}; use a {wanted}"
        )


def metadata_type(probed: Probed, name: str) -> str | None:
    """The type of a metric in the metadata of its targets; None where nothing, or several things, are said."""
    for candidate in (name, *(name.removesuffix(part) for part in _PARTS if name.endswith(part))):
        answer = page(probed.source, f"/api/v1/metadata?metric={quote(candidate)}&limit=1")
        entries = answer.get(candidate, []) if isinstance(answer, dict) else []
        entries = entries if isinstance(entries, list) else []
        types = {str(entry.get("type")) for entry in entries if isinstance(entry, dict)}
        if len(types) == 1:
            return types.pop()
    return None


def _falling(probed: Probed, counter: VectorSelector) -> Iterator[Finding]:
    """A counter that falls often is a gauge, or several processes write it."""
    falls = probed.number(f"sum(resets({counter}[1h]))")
    samples = probed.number(f"sum(count_over_time({counter}[1h]))")
    if falls and samples and samples >= _FEWEST and falls / samples > _FALLS:
        message = (
            f"{counter} falls at {falls / samples:.0%} of its samples, as no counter does: use a counter; if it is one, several "
            "processes write the same series: give each its own `instance`"
        )
        yield probed.finding("type", "error", message)


def _outside(probed: Probed, metric: VectorSelector) -> Iterator[Finding]:
    low, high = probed.number(f"min(min_over_time({metric}[1h]))"), probed.number(f"max(max_over_time({metric}[1h]))")
    if low is not None and high is not None and (low < 0 or high > 1):
        message = f"{metric} has values from {low:g} to {high:g}; a probe is 0 or 1: use a `threshold` for a gauge"
        yield probed.finding("type", "error", message)
