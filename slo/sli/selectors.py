"""Which raw series an SLI is made of."""

from __future__ import annotations

from dataclasses import replace

from slo.promql.ast import VectorSelector, walk
from slo.promql.parse import parse
from slo.spec.build import WINDOW_VARIABLE
from slo.spec.model import Latency, Probe, Ratio, Raw, Sli


def raw_selectors(sli: Sli) -> tuple[VectorSelector, ...]:
    """The selectors whose samples decide this SLI, without offsets, each once."""
    match sli:
        case Ratio(total=total, part=part):
            found = [total, part]
        case Latency():
            found = [buckets(sli)]
        case Probe(metric=metric):
            found = [metric]
        case Raw(errors=errors, total=total_text):
            found = [
                replace(node, offset_ms=0, at=None)
                for text in (errors, total_text)
                for node in walk(parse(text.replace(WINDOW_VARIABLE, "5m")))
                if isinstance(node, VectorSelector)
            ]
    return tuple(dict.fromkeys(found))


def buckets(sli: Latency) -> VectorSelector:
    """All buckets of a latency's histogram."""
    return replace(sli.histogram, name=f"{sli.histogram.name}_bucket")
