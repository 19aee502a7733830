"""Which alerts each incident of the five systems must set off, with the severities that the system names; no others.

By hand, from the SRE workbook's arithmetic: an alert of a long window W and a threshold θ = burn-rate threshold × budget fires in an
incident of error ratio E and length L where E × min(L, W) ÷ W > θ, for W = 1h, 6h, 1d, 3d and thresholds 14.4, 6, 3, 1.
"""

from __future__ import annotations

# (SLO or plain alert, kind of incident) -> "SLO window severity" of burn-rate alerts, "Alert severity" of plain ones.
FAST = ("1h {0}", "6h {0}")
SLOW = ("1d {1}", "3d {1}")
ALL = (*FAST, *SLOW)


def burn(slo: str, windows: tuple[str, ...], page: str, ticket: str) -> set[str]:
    return {f"{slo} {window.format(page, ticket)}" for window in windows}


Expected = dict[tuple[str, str], set[str]]

FACILIAUTO: Expected = {
    # 100 % of the checks for 2 h: 8.3 % of a day and 2.8 % of three, above 3 % and 1 %.
    ("cpu", "busy loop"): burn("cpu", SLOW, "", "P2"),
    ("connections", "connection leak"): burn("connections", SLOW, "", "P2"),
    ("disk", "full disk"): burn("disk", SLOW, "", "P2"),
    # Above 1 GiB for the last 8 of 12 h; above 1.5 GB for the last 3.
    ("memory", "memory leak"): burn("memory", SLOW, "", "P2") | {"HighMemory P1"},
    # Half an hour longer than the recovery time: its own budget of 0.1 % burns too.
    ("availability", "outage longer than the recovery time"): (
        burn("availability", ALL, "P0", "P2") | burn("recovery-time", ALL, "P0", "P2") | {"ApiDown P0"}
    ),
    # 30 % for 45 min: 22.5 % of 1h (7.2 %), 3.75 % of 6h (3 %), 0.94 % of 1d (1.5 %), 0.31 % of 3d (0.5 %).
    ("error-rate", "bad deploy"): burn("error-rate", FAST, "P0", "P2") | {"HighErrorRate P0"},
    # 2.5 % for 20 h: below 7.2 % and 3 %, 2.1 % of 1d (1.5 %), 0.7 % of 3d (0.5 %).
    ("error-rate", "slow burn"): burn("error-rate", SLOW, "P0", "P2"),
    # 90 % for 90 min: 90 % of 1h (72 %), 22.5 % of 6h (30 %), 5.6 % of 1d (15 %), 1.9 % of 3d (5 %).
    ("latency", "latency regression"): {"latency 1h P1", "HighResponseTime P1"},
    # Nothing but misses for 16 h: 67 % of 1d (60 %), 22 % of 3d (20 %); it does not page.
    ("cache-hit-rate", "cold cache"): burn("cache-hit-rate", SLOW, "", "P2") | {"LowCacheHitRate P2"},
    # 5 h: 21 % of 1d (15 %), 6.9 % of 3d (5 %).
    ("throughput", "traffic drop"): burn("throughput", SLOW, "", "P2"),
    ("recovery-point", "missed backup"): burn("recovery-point", ALL, "P0", "P2"),
}

HITL_API: Expected = {
    ("availability", "outage"): burn("availability", ALL, "P0", "P2"),
    ("readiness", "probes fail"): burn("readiness", ALL, "P0", "P2"),
    # 95 % for 80 min: above 72 % of 1h; 21 % of 6h (30 %).
    ("latency", "latency regression"): {"latency 1h P1"},
    # 0.45 % for 18 h: below 1.44 % and 0.6 %; 0.34 % of 1d (0.3 %), 0.11 % of 3d (0.1 %).
    ("availability", "slow burn"): burn("availability", SLOW, "P0", "P2"),
    ("review-backlog", "backlog"): burn("review-backlog", ALL, "P1", "P3"),
}

MCP_ULTRA: Expected = {
    # The error rate over 1 h counts the same requests: its windows are 2m and 6m.
    ("availability", "outage longer than the recovery time"): (
        burn("availability", ALL, "critical", "warning")
        | burn("recovery-time", ALL, "critical", "warning")
        | {"error-rate 2m critical", "error-rate 6m warning", "HighErrorRate critical"}
    ),
    # 4 % for 6 min, in a budget of 0.5 % an hour; over 30 d it is 0.6 min of 43: no alert of availability's.
    ("error-rate", "bad deploy"): {"error-rate 2m critical", "error-rate 6m warning"},
    # 60 % for 2 h, in a budget of 5 % a day.
    ("latency", "latency regression"): {
        "latency 12m critical", "latency 48m warning", "latency 2h24m warning", "HighLatency warning",
    },
    # 0.35 % for 26 h: 0.35 % of 1d (0.3 %), 0.13 % of 3d (0.1 %); below the 0.5 % that an hour may have.
    ("availability", "slow burn"): burn("availability", SLOW, "critical", "warning"),
    # 40 min of slices in a budget of 1 %: 67 % of 1h (14.4 %), 11 % of 6h (6 %), 2.8 % of 1d (3 %), 0.93 % of 3d (1 %).
    ("canary-success", "bad canary"): burn("canary-success", FAST, "critical", "warning"),
    ("canary-latency", "slow canary"): burn("canary-latency", FAST, "critical", "warning"),
    ("PodCrashLooping", "crash loop"): {"PodCrashLooping critical"},
    ("deployment-frequency", "deployments stopped"): burn("deployment-frequency", SLOW, "", "warning"),
}  # fmt: skip

OMNIMIND: Expected = {
    ("core-availability", "outage longer than the recovery time"): (
        burn("core-availability", ALL, "P0", "P3") | burn("recovery-time", ALL, "P1", "P3")
    ),
    # 5 min of 4.32 that a month may have.
    ("healthcheck-availability", "health check down"): burn("healthcheck-availability", ALL, "P0", "P3"),
    # 90 min: 25 % of 6h (6 %), 6.3 % of 1d (3 %), 2.1 % of 3d (1 %).
    ("dashboard-availability", "dashboard down"): burn("dashboard-availability", ALL, "P2", "P3"),
    # 50 % for 40 min in a budget of 1 %: 33 % of 1h (14.4 %), 5.6 % of 6h (6 %), 1.4 % of 1d (3 %), 0.5 % of 3d (1 %).
    ("healthcheck-latency", "latency regression"): {"healthcheck-latency 1h P1"},
    ("mcp-4339-throughput", "throughput below the promise"): burn("mcp-4339-throughput", ALL, "P1", "P3"),
    # 4.5 % for 18 h in a budget of 1 %: below 14.4 % and 6 %; 3.4 % of 1d (3 %), 1.1 % of 3d (1 %).
    ("mcp-4339-latency", "slow burn"): burn("mcp-4339-latency", SLOW, "P1", "P3"),
    ("mcp-4340-throughput", "throughput below the promise"): burn("mcp-4340-throughput", ALL, "P1", "P3"),
    # 60 % for 40 min: 40 % of 1h (14.4 %), 6.7 % of 6h (6 %), 1.7 % of 1d (3 %).
    ("mcp-4341-report-latency", "slow reports"): burn("mcp-4341-report-latency", FAST, "P1", "P3"),
    # Above 4 GiB for the last 5 of 10 h.
    ("memory", "memory leak"): burn("memory", ALL, "P2", "P3"),
    ("recovery-point", "missed backup"): burn("recovery-point", ALL, "P1", "P3"),
}

MIMIR_LENS: Expected = {
    ("availability", "outage longer than the recovery time"): (
        burn("availability", ALL, "P0", "P3") | burn("recovery-time", ALL, "P0", "P3")
    ),
    ("mimir-latency", "latency regression"): {"mimir-latency 1h P1"},
    # 90 % for 70 min: 90 % of 1h (72 %), 17.5 % of 6h (30 %).
    ("error-rate", "bad deploy"): {"error-rate 1h P1"},
    # 25 % for 20 h: 21 % of 1d (15 %), 6.9 % of 3d (5 %).
    ("lens-latency", "slow burn"): burn("lens-latency", SLOW, "P1", "P3"),
    ("integration", "calls to Lens fail"): {"integration 1h P1"},
    ("deployment-frequency", "deployments stopped"): burn("deployment-frequency", SLOW, "", "P3"),
}

SYSTEMS: dict[str, Expected] = {
    "faciliauto": FACILIAUTO,
    "hitl-api": HITL_API,
    "mcp-ultra": MCP_ULTRA,
    "mimir-lens": MIMIR_LENS,
    "omnimind": OMNIMIND,
}
