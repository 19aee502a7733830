"""Inputs near what is right: texts of ours with pieces lost, doubled, swapped, and replaced by what breaks readers."""

from __future__ import annotations

import random
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
# What has broken a reader somewhere: numbers of any size, YAML's own marks, PromQL's, templates, odd characters.
PIECES = [
    "9" * 5000, "1e9999999", "-1", "0", "NaN", "Inf", "0x1p-1", "1_000", "²", "null", "~", "true", "off", "[]", "{}", "''", '""', "&a", "*a", "<<: *a",
    "<<: {a: b}", "!!python/object:os.system", "!foo", "? ", "- ", ": ", "|", ">", "#", "---\n", "...\n", "\t", "\r", "\x00", "\x85", "\u2028", "\ufeff", "\ud7ff",
    "é", "🔥", "‮", "{{ $labels.x }}", "{{", "}}", "{{ range $i, $v := query `up` }}", "$window", "[$window]", "[5m]", "[1d:1ms]", " offset 5m", " @ end()", " or ", " unless ",
    "sum by (a) (", ")", "(", "\\", "`", "'", '"', "{", "}", "=~", "=", "!=", "!~", "+Inf", "1761955200000", "2026-11-20T12:00:00Z", "0001-01-01", "10000-01-01", "100y", "1ms", "90d",
    "week", "Model", "x]", "[key]", "http://user:pa/ss@host", "../../etc/passwd", "/dev/null", "%", "100", "101", "99.999999999", "page", "ticket", "by: [le]", "by: [severity]",
]  # fmt: skip


def mutated(text: str, rng: random.Random) -> str:
    """The text with one to four changes; small ones are the likely ones."""
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 4])):
        lines = text.split("\n")
        at = rng.randrange(len(text) + 1)
        match rng.randrange(10):
            case 0:
                text = text[:at] + rng.choice(PIECES) + text[at:]
            case 1:
                end = at + rng.choice([1, 2, 5, 20, 100])
                text = text[:at] + text[end:]
            case 2:
                line = rng.randrange(len(lines))
                lines[line : line + 1] = []
                text = "\n".join(lines)
            case 3:
                line = rng.randrange(len(lines))
                lines.insert(rng.randrange(len(lines) + 1), lines[line])
                text = "\n".join(lines)
            case 4:
                line = rng.randrange(len(lines))
                lines[line] = " " * rng.randrange(8) + lines[line].lstrip()
                text = "\n".join(lines)
            case 5 | 6 | 7:  # a value
                line = rng.randrange(len(lines))
                key, colon, _ = lines[line].partition(": ")
                lines[line] = f"{key}: {rng.choice(PIECES)}" if colon else lines[line] + rng.choice(PIECES)
                text = "\n".join(lines)
            case 8:
                other = rng.randrange(len(text) + 1)
                low, high = sorted((at, other))
                text = text[:low] + text[low : min(high, low + 200)] * 2 + text[high:]
            case _:
                text = (
                    text[:at]
                    + chr(rng.choice([rng.randrange(32, 127), rng.randrange(0xD800), 0x10FFFF]))
                    + text[at + 1 :]
                )
    return text


DEFINITION = """\
service: shop
owner: team
labels: {tier: gold}
defaults: {window: 30d, scrape_interval: 30s}
slos:
  - name: errors
    objective: 99.9
    by: [code]
    sli: {ratio: {errors: 'r_total{code=~"5.."}', total: r_total}}
    annotations: {summary: 'x {{ $value }}'}
  - name: latency
    objective: 99
    window: month
    sli: {latency: {histogram: d_seconds, threshold: 300ms}}
    alerting: {page: {for: 2m}, ticket: off}
  - name: raw
    objective: 95
    sli: {raw: {errors: 'sum(increase(e_total[$window]))', total: 'sum(increase(t_total[$window]))'}}
  - name: probe
    objective: 99
    sli: {probe: {metric: up}}
  - name: level
    objective: 99
    sli: {threshold: {value: 'max(queue_length)', below: 100}}
alerts:
  - {name: Down, expr: up == 0, for: 5m, severity: page}
"""
# Pieces of what only charts and Terraform have.
PIECES += [
    "{{ default }}",
    "{{ and }}",
    "{{ not }}",
    "{{ include }}",
    "{{ .Values }}",
    "{{ (",
    "{{ ) }}",
    '| replace "" "aa"',
    '{{ template "x" }}',
    "{{ end }}",
    "{{ else }}",
    "{{ if }}",
    "${",
    "$${",
    "<<EOT\n",
    '${file("/etc/passwd")}',
    "= [",
    "{{ index .Values 0 }}",
    "{{ required }}",
    "{{ eq }}",
    "{{ printf }}",
    '{{ printf "%s%" 1 }}',
    "{{/*",
]
DEFINITIONS = [DEFINITION, *(path.read_text() for path in sorted((ROOT / "definitions").glob("*.yaml")))]
WITH_PRESETS = """\
service: shop
slos:
  - {preset: istio/latency, objective: 99.5, by: [version], with: {service: shop, namespace: web, threshold: 250ms, filter: 'a="b",c=~"d.*"'}}
  - {preset: kubernetes-apiserver/read, window: month, time_zone: Europe/Berlin}
  - {preset: batch/freshness, name: b, with: {metric: backup_seconds, max_age: 2h}}
"""
PRESET = (ROOT / "slo" / "presets" / "traefik" / "latency.yaml").read_text()
EVENTS = "events:\n  - {start: 2026-11-01T10:00:00Z, end: 2026-11-01T11:00:00Z, name: racks, slo: shop/*, kind: maintenance}\n  - {start: 1790000000, kind: deployment}\n"
EVENTS_CSV = "start,end,name,slo,kind\n2026-11-01T10:00:00Z,2026-11-01T11:00:00Z,racks,shop/*,incident\n1790000000,,x,,deployment\n"
WEEKLY = (ROOT / "reports" / "weekly.yaml").read_text().replace("  # ", "  ")
SOURCE = "source:\n  bearer_token: abc\n  headers: {X-Scope-OrgID: team}\n  timeout: 2m\n  max_response: 1GiB\n"
SCENARIO = "description: x\ntraffic: {per_second: 5, steady: true}\nsteady_errors: 10%\nincidents:\n  - {at: 2d, lasts: 1h, slo: shop/errors, error_ratio: 30%}\nevents:\n  - {kind: deployment, at: 1d, lasts: 5m, every: 1d}\n"
POLICY = "policy: calm\nslos: [shop/*]\nobjective: 99.5\nwindow: 28d\nalerting:\n  page: {for: 5m}\n  windows:\n    - {severity: page, long: 2h, short: 10m, budget: 4%}\n"
RULES = "groups:\n  - name: g\n    interval: 30s\n    rules:\n      - {record: a:b, expr: 'sum(rate(x_total[5m]))', labels: {a: b}}\n      - {alert: A, expr: a:b > 0.1, for: 5m, labels: {severity: page}, annotations: {s: '{{ $value }}'}}\n"
COUNTS = "time,total,good,slo\n2026-11-01T10:00:00Z,100,99,shop/errors\n2026-11-01T10:05:00Z,120,120,shop/errors\n1793527800,7,7,shop/latency\n"
STATE = '{\n "version": 1,\n "periods": {\n  "2026-W38": {\n   "whole": true,\n   "delivered": ["email", "webhook"],\n   "told": []\n  }\n }\n}\n'
SLOTH = """\
version: prometheus/v1
service: shop
labels: {owner: web}
slos:
  - name: requests
    objective: 99.9
    sli:
      events:
        error_query: sum(rate(x_total{code=~"5.."}[{{.window}}]))
        total_query: sum(rate(x_total[{{.window}}]))
    alerting:
      name: ShopBurns
      labels: {category: availability}
      page_alert: {labels: {severity: page}}
      ticket_alert: {disable: true}
"""
PYRRA = """\
apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata: {name: requests, namespace: shop, labels: {pyrra.dev/team: web}}
spec:
  target: '99.5'
  window: 4w
  indicator:
    latency:
      success: {metric: 'd_seconds_bucket{job="a",le="0.3"}'}
      total: {metric: 'd_seconds_count{job="a"}'}
      grouping: [route]
"""
OPENSLO = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: requests}
spec:
  service: shop
  alertPolicies: [burns]
  indicator:
    metadata: {name: good}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: Prometheus, spec: {query: 'sum(x_total{code!="500"})'}}}
        total: {metricSource: {type: Prometheus, spec: {query: sum(x_total)}}}
  timeWindow: [{duration: 28d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.999}]
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: burns}
spec:
  conditions:
    - kind: AlertCondition
      metadata: {name: fast}
      spec:
        severity: critical
        condition: {kind: burnrate, op: gt, threshold: 14, lookbackWindow: 1h, alertAfter: 2m}
"""
GENERATOR = """\
apiVersion: sre.google.com/v2
kind: ServiceLevelObjective
metadata:
  name: shop-web-requests
  labels: {service_name: shop, feature_name: web, slo_name: requests}
spec:
  description: Requests succeed
  backend: prometheus
  method: good_bad_ratio
  service_level_indicator: {filter_good: 'x_total{code="200"}', filter_valid: x_total}
  goal: 0.999
"""
FOREIGN = [SLOTH, PYRRA, OPENSLO, GENERATOR]
CHART = """\
{{- define "shop.name" }}{{ .Values.shop.name | default "web" | quote }}{{ end }}
{{- if and .Values.objective (not .Values.off) }}
version: prometheus/v1
service: {{ .Values.shop.name | replace "-" "_" | lower }}
slos:
  - name: {{ printf "%s-%s" .Values.shop.name "requests" | quote }}
    objective: {{ .Values.objective }}
    sli:
      events:
        error_query: sum(rate(x_total{code=~"5.."}[{{`{{.window}}`}}]))
        total_query: sum(rate(x_total[{{ "{{.window}}" }}]))
    alerting: {name: {{ default "Burns" .Values.alert }}}
{{- else }}
{}
{{- end }}
"""
TERRAFORM = """\
resource "grafana_slo" "requests" {
  name        = "Requests"
  folder_uid  = "shop"
  query {
    type = "ratio"
    ratio {
      success_metric  = "x_total{code!~\\"5..\\"}"
      total_metric    = "x_total"
      group_by_labels = ["route"]
    }
  }
  objectives {
    value  = 0.995
    window = "30d"
  }
  label {
    key   = "team"
    value = "web"
  }
  alerting {
    fastburn {
      annotation {
        key   = "runbook"
        value = "x"
      }
    }
  }
}
"""
EXPRESSIONS = (ROOT / "tests" / "promql" / "expressions.txt").read_text(encoding="utf-8").splitlines()

# What people, and scripts with an empty variable, put behind an option.
VALUES = [
    "", " ", ".", "..", "/", "-", "--", "~", "*", "0", "-1", "1", "30", "1e400", "nan", "inf", "1_000", "99999999999999999999", "30d", "1h30m", "-5m", "0d", "1000y", "now",
    "yesterday", "2026-09-21", "2026-09-31", "21.09.2026", "2026-09-21T00:00:00", "2026-09-21T00:00:00+99:00", "1789948800000", "shop.yaml", "r.parquet", "missing.yaml", "weekly.yaml",
    "events.yaml", "rules.yml", "folder", "/dev/null", "/proc/self/mem", "localhost:9", "localhost:99999", "127.0.0.1:9", "http://", "https://127.0.0.1:9", "http://u:T0KEN@127.0.0.1:9/",
    "postgres://u:T0KEN@127.0.0.1/", "http://127.0.0.1:9/?token=T0KEN", "HTTP://127.0.0.1:9", "s3://bucket/x", "a=b", "=", "a=", "=b", "severity=page", "shop", "shop/errors", "shop/*", "[", "(", "exhausted",
    "at risk", "html", "json", "found", "planted", "ratio", "latency", "prometheus", "sloth", "operator", "\\n", "\n", "é", "\udcff", "x" * 5000, "%s", "{0}", "$(id)", "\x1b[31m",
]  # fmt: skip
# Each command, with what it needs; what is to be written goes below the folder in which it runs.
COMMANDS = [
    ["init"], ["init", "latency", "-o", "new.yaml"], ["explain"], ["explain", "shop.yaml"], ["check", "shop.yaml"], ["rules", "shop.yaml"], ["rules", "shop.yaml", "-o", "rules.yml"],
    ["status", "shop.yaml", "-s", "r.parquet"], ["report", "shop.yaml", "-s", "r.parquet", "-o", "out"], ["record", "shop.yaml", "-s", "r.parquet", "-o", "again.parquet"],
    ["simulate", "shop.yaml", "--days", "0.05", "-o", "s.parquet"], ["backtest", "shop.yaml", "-s", "r.parquet", "-o", "out"], ["weekly", "weekly.yaml", "--now", "2026-09-21T06:00:00Z"], ["schema"],
    ["rules", "shop.yaml", "--format", "operator"], ["export", "sloth", "shop.yaml", "-o", "exported"], ["import", "rules.yml", "-o", "imported"],
    ["ledger", "update", "shop.yaml", "-s", "r.parquet", "--ledger", "kept", "--start", "1h"], ["ledger", "report", "--ledger", "kept", "--year", "2026"],
    ["ledger", "check", "--ledger", "kept"], ["ledger", "sql", "--ledger", "kept", "SELECT 1"], ["rules", "shop.yaml", "--push", "http://127.0.0.1:9", "--dry-run"],
    ["rules", "shop.yaml", "--format", "azure"], ["rules", "shop.yaml", "--format", "gmp", "--shard", "0/2"],
    ["dashboard", "-o", "boards", "--format", "configmap"], ["backfill", "shop.yaml", "-s", "r.parquet", "-o", "filled"],
]  # fmt: skip
