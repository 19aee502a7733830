"""Which raw series an SLI is made of."""

from __future__ import annotations

from dataclasses import replace

from slo.promql.ast import VectorSelector, walk
from slo.promql.parse import parse
from slo.spec.build_sli import WINDOW_VARIABLE
from slo.spec.model import Freshness, Latency, NativeLatency, Outage, Probe, Ratio, Raw, Sli, Threshold


def raw_selectors(sli: Sli) -> tuple[VectorSelector, ...]:
    """The selectors whose samples decide this SLI, without offsets, each once."""
    match sli:
        case Ratio(total=total, part=part):
            found = [total, part]
        case Latency():
            found = [buckets(sli)]
        case NativeLatency(histogram=histogram):
            found = [histogram]
        case Probe(metric=metric):
            found = [metric]
        case Freshness(metric=metric):
            found = [metric]
        case Outage(of=of):
            return raw_selectors(of)
        case Raw(errors=errors, total=total_text):
            found = _selectors_in(errors) + _selectors_in(total_text)
        case Threshold(expr=expr):
            found = _selectors_in(expr)
    return tuple(dict.fromkeys(found))


def _selectors_in(text: str) -> list[VectorSelector]:
    nodes = walk(parse(text.replace(WINDOW_VARIABLE, "5m")))
    return [replace(node, offset_ms=0, at=None) for node in nodes if isinstance(node, VectorSelector)]


def buckets(sli: Latency) -> VectorSelector:
    """All buckets of a latency's histogram."""
    return replace(sli.histogram, name=f"{sli.histogram.name}_bucket")
