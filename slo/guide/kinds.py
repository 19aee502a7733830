"""Each kind of SLI for somebody who meets it: what it is for, and a definition to start from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KindGuide:
    """What a kind of SLI is for. `example` is one entry of `slos:`, commented."""

    title: str
    use: str
    event: str
    bad: str
    example: str


KIND_GUIDES: dict[str, KindGuide] = {
    "ratio": KindGuide(
        "errors (or good events) out of all events, from counters",
        "Use it for the availability of anything that counts its requests, jobs or messages.",
        "an increment of `total`",
        "`errors` counts it too, or `good` does not",
        """\
  - name: availability
    objective: 99.9                    # percent of events that must be good
    description: Requests that do not end in a 5xx
    sli:
      ratio:
        # Both are counters with matchers, without rate() and sum(): these are added.
        # `errors` is a part of `total`; write `good:` instead if good events are what you count.
        errors: http_requests_total{job="api",code=~"5.."}
        total: http_requests_total{job="api"}
""",
    ),
    "latency": KindGuide(
        "requests that are fast enough, from a histogram",
        "Use it for how fast requests are answered.",
        "an observation of the histogram",
        "it took longer than the threshold",
        """\
  - name: latency
    objective: p95 < 500ms             # 95% of requests within 500 ms
    description: Requests that are answered in time
    sli:
      latency:
        # The histogram without `_bucket`. 500 ms must be one of its bucket bounds (le="0.5");
        # `native: true` reads a native histogram, where any threshold will do.
        histogram: http_request_duration_seconds{job="api"}
""",
    ),
    "probe": KindGuide(
        "a gauge that is 1 when all is well and 0 when not",
        "Use it for checks from outside (the blackbox exporter) and for `up`.",
        "a sample",
        "it is not 1",
        """\
  - name: reachable
    objective: 99.5                    # percent of checks that must succeed
    description: Checks from outside that succeed
    sli:
      probe: probe_success{job="blackbox"}
""",
    ),
    "raw": KindGuide(
        "any PromQL that counts bad events and all events over a window",
        "Use it only where no other kind fits: it is as exact as the PromQL in it.",
        "what `total` counts",
        "`errors` counts it",
        """\
  - name: jobs
    objective: 99
    description: Jobs that finish
    sli:
      raw:
        # One number each. $window stands in brackets; the rules and the evaluation put lengths there.
        errors: sum(increase(jobs_failed_total{job="worker"}[$window]))
        total: sum(increase(jobs_total{job="worker"}[$window]))
""",
    ),
    "threshold": KindGuide(
        "a value that must stay within a bound, judged slice by slice",
        "Use it for saturation, queues, throughput, or the age of a certificate.",
        "a slice of time of each series (the scrape interval, unless `slice` says otherwise)",
        "the value breaks its bound",
        """\
  - name: memory
    objective: 99.5                    # percent of the time
    description: Memory stays below 1 GiB
    sli:
      # In short; the long form has `value:` (any PromQL) and one of at_least, at_most, above, below.
      threshold: process_resident_memory_bytes{job="api"} < 1GiB
""",
    ),
    "freshness": KindGuide(
        "a timestamp that must not be too old",
        "Use it for backups, batch jobs, data imports and replication.",
        "a slice of time",
        "the timestamp is older than `max_age`",
        """\
  - name: backup
    objective: 99.9                    # percent of the time
    description: The last backup is at most a day old
    sli:
      freshness:
        metric: backup_last_success_timestamp_seconds{job="backup"}   # Unix seconds
        max_age: 24h
""",
    ),
    "outage": KindGuide(
        "no outage of another SLO that lasts too long",
        "Use it for a recovery objective. It adds the mean time to recovery and between failures.",
        "a slice of time",
        "everything has been down for longer than `longer_than`",
        """\
  - name: recovery
    objective: 99.9                    # percent of the time
    description: Outages end within 15 minutes
    sli:
      outage:
        of: availability               # an SLO of this service
        longer_than: 15m
""",
    ),
}

_HEAD = """\
# An SLO definition: one YAML document is one service. Check it with `slo check FILE`, see it with `slo explain FILE`.
service: {service}
owner: {owner}
# labels: {{tier: "1"}}                 # on every recorded series and alert
defaults:
  window: 30d                          # 1h to 90d, or week, month, quarter, year
  scrape_interval: 30s                 # how often Prometheus scrapes these metrics
  # annotations: {{runbook: https://example.com/runbooks/{service}}}
slos:
"""


def head_of(service: str, owner: str = "team-name") -> str:
    """The beginning of a definition, up to `slos:`."""
    return _HEAD.format(service=service, owner=owner)


def definition_of(kind: str, service: str) -> str:
    """A commented definition with one SLO of a kind; an outage comes with the SLO that it is about."""
    parts = ["ratio", "outage"] if kind == "outage" else [kind]
    return head_of(service) + "\n".join(KIND_GUIDES[part].example for part in parts)
