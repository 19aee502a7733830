"""Each selector matches series; else which label values there are, and of a missing metric the nearest names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from slo.check.model import LOOKS_BACK_MS, Finding, Probed, page
from slo.promql.ast import Aggregate, Call, MatrixSelector, VectorSelector
from slo.sli.base import Sli
from slo.sli.counted import CountedSli
from slo.sli.counts import Grid
from slo.sli.unmatched import unmatched
from slo.window import MINUTE


def check_series(probed: Probed) -> Iterator[Finding]:
    """Selectors without a series in the last day."""
    for number, (key, selector) in enumerate(selectors(probed.slo.sli)):
        if matched(probed, selector):
            continue
        if not number and _became_native(probed, selector):
            name = (selector.name or "").removesuffix("_bucket")
            message = (
                f"{name} is a native histogram: it has no `_bucket` series any more; set `native: true` under `latency`"
            )
            yield probed.finding("histogram", "error", message)
            return
        text = unmatched(key, selector, probed.source, Grid(probed.at_ms, 5 * MINUTE, 12)).text
        if "there is no metric" in text:
            near = get_close_matches(selector.name or "", _names(probed), n=3, cutoff=0.6)
            text += (
                f"; did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else "; check the scrape targets"
            )
            yield probed.finding("series", "error", text)
            return
        # What counts errors has often had none yet; without all events there is no SLI.
        if number:
            yield probed.finding("series", "warning", f"{text}; fine if there have been none yet")
        else:
            yield probed.finding("series", "error", f"{text}; correct the selector")
            return


def selectors(sli: Sli) -> Iterable[tuple[str, VectorSelector]]:
    """The selectors of an SLI by the keys of a definition, of all events first."""
    if isinstance(sli, CountedSli):
        return sli.named().items()
    return [(str(selector), selector) for selector in sli.selectors()]


def matched(probed: Probed, selector: VectorSelector) -> bool:
    """Whether there was a series in the last day. Raises SourceError."""
    seen = Call("present_over_time", (MatrixSelector(selector, LOOKS_BACK_MS),))
    return bool(probed.ask(Aggregate("count", seen)))


def _became_native(probed: Probed, selector: VectorSelector) -> bool:
    """Whether buckets are missing because the histogram is a native one."""
    name = selector.name or ""
    if not name.endswith("_bucket") or probed.slo.sli.measured_by == "native histogram":
        return False
    matchers = tuple(matcher for matcher in selector.matchers if matcher.label != "le")
    bare = VectorSelector(name.removesuffix("_bucket"), matchers)
    # A local recording holds no native histograms.
    return not probed.source.local and bool(probed.ask(f"count(histogram_count({bare}))"))


def _names(probed: Probed) -> list[str]:
    """The names of all metrics."""
    answer = page(probed.source, "/api/v1/label/__name__/values")
    if isinstance(answer, list):
        return [str(name) for name in answer]
    return [labels.get("__name__", "") for labels, _ in probed.ask('count by (__name__) ({__name__=~".+"})')]
