"""The kinds of SLI: a definition for each, and the series that a process has for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.contract.fleet import Key


@dataclass(frozen=True)
class Kind:
    """A definition's `sli`, and the series that a process has for it."""

    name: str
    sli: str
    keys: dict[str, Key]
    part: str = ""  # the key that errors are an increment of, or that good events are
    form: Literal["codes", "two", "buckets", "gauge"] = "codes"
    extra: str = ""  # further SLOs of the same service

    @property
    def definition(self) -> str:
        return (
            "service: contract\n"
            "defaults: {window: 1d, scrape_interval: 30s}\n"
            "slos:\n"
            f"{self.extra}"
            f"  - {{name: judged, objective: 99, sli: {self.sli}}}\n"
        )


def _codes(errors: float = 1.0) -> dict[str, Key]:
    return {
        "200": Key("http_requests_total", {"code": "200"}, 0.0, 1.0),
        "404": Key("http_requests_total", {"code": "404"}, 0.0, 1.0),
        "500": Key("http_requests_total", {"code": "500"}, errors, 1.0),
        "503": Key("http_requests_total", {"code": "503"}, errors, 1.0),
    }


_TWO = {"bad": Key("failures_total", {}, 1.0, 0.0), "all": Key("requests_total", {}, 0.0, 1.0)}
_SERVED = {"good": Key("served_total", {}, -1.0, 0.0), "all": Key("requests_total", {}, 1.0, 1.0)}


def _histogram(name: str, bounds: Sequence[str], threshold: str, counts: bool = True) -> dict[str, Key]:
    """With `counts` the histogram's own `_count` counts all requests, else its last bucket does."""
    keys = {le: Key(f"{name}_bucket", {"le": le}, -1.0 if le == threshold else 0.0, 0.0) for le in bounds}
    whole = 0.0 if counts else 1.0
    keys["+Inf"] = Key(f"{name}_bucket", {"le": "+Inf"}, whole, whole)
    return keys | ({"count": Key(f"{name}_count", {}, 1.0, 1.0)} if counts else {})


_RATIO = "{ratio: {errors: 'http_requests_total{code=~\"5..\"}', total: http_requests_total}}"
BOUND, BOUND_LARGE = "0.25", "1e+06"

KINDS = {
    kind.name: kind
    for kind in (
        Kind("ratio", _RATIO, _codes()),
        Kind(
            "ratio good", "{ratio: {good: 'http_requests_total{code!~\"5..\"}', total: http_requests_total}}", _codes()
        ),
        Kind("ratio of two", "{ratio: {errors: failures_total, total: requests_total}}", _TWO, "bad", "two"),
        Kind("ratio of good", "{ratio: {good: served_total, total: requests_total}}", _SERVED, "good", "two"),
        Kind(
            "ratio of buckets",
            "{ratio: {good: 'lag_seconds_bucket{le=\"0.25\"}', total: 'lag_seconds_bucket{le=\"+Inf\"}'}}",
            _histogram("lag_seconds", [BOUND], BOUND, counts=False),
            BOUND,
            "buckets",
        ),
        Kind(
            "latency",
            "{latency: {histogram: request_duration_seconds, threshold: 250ms}}",
            _histogram("request_duration_seconds", ["0.1", BOUND, "1"], BOUND),
            BOUND,
            "buckets",
        ),
        Kind(
            "latency of large bounds",
            "{latency: {histogram: job_duration_milliseconds, threshold: 1000s}}",
            _histogram("job_duration_milliseconds", ["1000", BOUND_LARGE], BOUND_LARGE),
            BOUND_LARGE,
            "buckets",
        ),
        Kind(
            "raw",
            "{raw: {errors: 'sum(increase(failures_total[$window]))', total: 'sum(increase(requests_total[$window]))'}}",
            _TWO,
            "bad",
            "two",
        ),
        Kind(
            "raw rate",
            "{raw: {errors: 'sum(rate(failures_total[$window]))', total: 'sum(rate(requests_total[$window]))'}}",
            _TWO,
            "bad",
            "two",
        ),
        Kind("probe", "{probe: {metric: probe_success}}", {"gauge": Key("probe_success", {}, 0, 0)}, form="gauge"),
        Kind(
            "threshold",
            "{threshold: {value: queue_length, at_most: 100, slice: 1m}}",
            {"gauge": Key("queue_length", {}, 0, 0)},
            form="gauge",
        ),
        Kind(
            "freshness",
            "{freshness: {metric: backup_last_success_timestamp_seconds, max_age: 30m, slice: 1m}}",
            {"gauge": Key("backup_last_success_timestamp_seconds", {}, 0, 0)},
            form="gauge",
        ),
        Kind(
            "outage",
            "{outage: {of: availability, longer_than: 10m, down_at: 50%, slice: 1m}}",
            _codes(),
            extra=f"  - {{name: availability, objective: 99, sli: {_RATIO}}}\n",
        ),
    )
}
COUNTERS = tuple(name for name, kind in KINDS.items() if kind.form != "gauge")
COUNTED = tuple(name for name in COUNTERS if name != "outage")

# A bound as clients, servers and people spell it.
SPELLINGS = {
    "0.25": ("0.25", "0.250", "2.5e-1", "2.5e-01"),
    "0.1": ("0.1", "0.10", "1e-01"),
    "1": ("1", "1.0", "1e+00", "1e0"),
    "1000": ("1000", "1000.0", "1e+03"),
    "1e+06": ("1e+06", "1000000", "1000000.0", "1e6", "1.0E6"),
    "+Inf": ("+Inf", "Inf"),
}
