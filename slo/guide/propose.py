"""SLOs for the metrics that a server has: what looks like requests, latencies and probes, as a definition to edit."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slo.errors import SourceError
from slo.guide.kinds import head_of
from slo.promql.parse import parse
from slo.sli.latency import unit_in_name

if TYPE_CHECKING:
    from slo.source import Source

# By the labels that say how a request ended: the errors among their values, as a regular expression.
_OUTCOMES = {
    "code": "5..", "status": "5..", "status_code": "5..", "http_status_code": "5..", "http_response_status_code": "5..",
    "grpc_code": "Unknown|DeadlineExceeded|Internal|Unavailable|DataLoss",
}  # fmt: skip
_REQUESTS = ".*(request|rpc|http|call|handled).*(_total|_count)"
_LATENCIES = ".*(duration|latency|time|seconds).*_bucket"
_MOST = 3  # of a kind and job
_GOOD_SHARE = 0.99  # what the proposed threshold of a latency would have held


@dataclass(frozen=True, slots=True)
class Proposal:
    """One SLO, as an entry of `slos:`."""

    job: str
    kind: str
    text: str


def propose(source: Source, kind: str | None = None, service: str | None = None) -> str:
    """Definitions, a document for each job, of what looks like an SLI now. Raises SourceError, also if nothing does."""
    at_ms = source.latest_ms()
    by_job: dict[str, list[Proposal]] = {}
    for proposal in (*_ratios(source, at_ms), *_latencies(source, at_ms), *_probes(source, at_ms)):
        if kind is None or proposal.kind == kind:
            by_job.setdefault(proposal.job, []).append(proposal)
    if not by_job:
        what = f"a {kind}" if kind else "requests, latencies or probes"
        raise SourceError(
            f"{source.name}: no metric looks like {what}; `slo init KIND` writes a definition to fill in by hand"
        )
    documents = []
    for job, proposals in by_job.items():
        name = service or _name(job)
        texts = dict.fromkeys(proposal.text for proposal in proposals)
        documents.append(head_of(name) + "\n".join(_numbered(list(texts))))
    head = f"# Proposed from {source.name}: objectives and thresholds are guesses. Keep what matters to users, delete the rest.\n"
    return head + "---\n".join(documents)


def _ratios(source: Source, at_ms: int) -> Iterator[Proposal]:
    for label, errors in _OUTCOMES.items():
        seen: dict[str, int] = {}
        for labels in _groups(source, f'count by (__name__, job) ({{__name__=~"{_REQUESTS}",{label}!=""}})', at_ms):
            metric, job = labels.get("__name__", ""), labels.get("job", "")
            values = _values(source, metric, job, label, at_ms)
            if not values or (errors == "5.." and not any(re.fullmatch("[1-5][0-9x]{2}", value) for value in values)):
                continue
            seen[job] = seen.get(job, 0) + 1
            if seen[job] > _MOST:
                continue
            job_matcher = _matcher("job", job)
            total = f"{metric}{{{job_matcher}}}" if job else metric
            bad = ",".join(filter(None, (job_matcher if job else "", f'{label}=~"{errors}"')))
            yield Proposal(
                job,
                "ratio",
                f"  - name: {_name(metric.removesuffix('_total').removesuffix('_count'))}\n"
                f"    objective: 99.9                    # {label} has {', '.join(values[:8])}\n"
                f"    sli:\n      ratio:\n        errors: {_quoted(f'{metric}{{{bad}}}')}\n        total: {_quoted(total)}\n",
            )


def _latencies(source: Source, at_ms: int) -> Iterator[Proposal]:
    seen: dict[str, int] = {}
    for labels in _groups(source, f'count by (__name__, job) ({{__name__=~"{_LATENCIES}",le!=""}})', at_ms):
        metric, job = labels.get("__name__", ""), labels.get("job", "")
        histogram = metric.removesuffix("_bucket")
        if not re.search("request|rpc|http|call|handl|latency|duration", histogram):
            continue
        selector = f"{{{_matcher('job', job)}}}" if job else ""
        bounds = _bounds(source, f"{metric}{selector}", at_ms)
        threshold = _threshold(bounds)
        if threshold is None:
            continue
        seen[job] = seen.get(job, 0) + 1
        if seen[job] > _MOST:
            continue
        scale = float((unit_in_name(histogram) or 1) * 1000)
        shown = ", ".join(f"{bound:g}" for bound in sorted(bounds) if math.isfinite(bound))
        yield Proposal(
            job,
            "latency",
            f"  - name: {_name(histogram)}\n"
            f"    objective: 99                      # percent of requests within the threshold\n"
            f"    sli:\n      latency:\n        histogram: {_quoted(f'{histogram}{selector}')}\n"
            f"        threshold: {_duration(threshold * scale)}                 # a bucket bound; there are {shown}\n",
        )


def _probes(source: Source, at_ms: int) -> Iterator[Proposal]:
    for metric in ("probe_success", "up"):
        for labels in _groups(source, f"count by (job) ({metric})", at_ms):
            job = labels.get("job", "")
            selector = f"{{{_matcher('job', job)}}}" if job else ""
            yield Proposal(
                job,
                "probe",
                f"  - name: {_name(metric)}\n    objective: 99.5                    # percent of checks that succeed\n"
                f"    sli:\n      probe: {_quoted(f'{metric}{selector}')}\n",
            )


def _groups(source: Source, query: str, at_ms: int) -> list[Mapping[str, str]]:
    return sorted(
        (series.labels for series in source.query(parse(query), at_ms).series),
        key=lambda labels: sorted(labels.items()),
    )


def _values(source: Source, metric: str, job: str, label: str, at_ms: int) -> list[str]:
    query = f'count by ({label}) ({metric}{{{_matcher("job", job)},{label}!=""}})'
    return [labels[label] for labels in _groups(source, query, at_ms) if label in labels]


def _bounds(source: Source, selector: str, at_ms: int) -> dict[float, float]:
    """Observations up to each upper bound, since the counters began."""
    values = {}
    for series in source.query(parse(f"sum by (le) ({selector})"), at_ms).series:
        with suppress(ValueError):  # a bound that is not a valid number
            values[float(series.labels.get("le", ""))] = float(series.values[-1])
    return values


def _threshold(bounds: Mapping[float, float]) -> float | None:
    """The lowest bound within which enough observations lie; the highest where none does, None without observations."""
    finite = sorted(bound for bound in bounds if math.isfinite(bound) and bound > 0)
    total = max(bounds.values(), default=0.0)
    if not finite or not total:
        return None
    return next((bound for bound in finite if bounds[bound] >= _GOOD_SHARE * total), finite[-1])


def _duration(milliseconds: float) -> str:
    whole = round(milliseconds)
    if whole and abs(milliseconds - whole) < 1e-9:
        return f"{whole // 1000}s" if whole % 1000 == 0 else f"{whole}ms"
    return f"{max(1, math.ceil(milliseconds))}ms"


def _matcher(label: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{label}="{escaped}"'


def _name(text: str) -> str:
    """A name of letters, digits and `-`."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:100].lower() or "service"


def _numbered(texts: Sequence[str]) -> list[str]:
    """The entries, those of the same name with a number each."""
    used: dict[str, int] = {}
    numbered = []
    for text in texts:
        name = text.split("\n", 1)[0].removeprefix("  - name: ")
        used[name] = used.get(name, 0) + 1
        numbered.append(text if used[name] == 1 else text.replace(name, f"{name}-{used[name]}", 1))
    return numbered


def _quoted(text: str) -> str:
    """A YAML text in single quotes, in which a quote is written twice."""
    return "'" + text.replace("'", "''") + "'"
