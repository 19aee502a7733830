"""SLOs become Prometheus recording and alert rules."""

from slo.rules.compile import alert_windows, compile_slo, compile_specs
from slo.rules.format import to_prometheus_rule, to_yaml
from slo.rules.groups import AlertRule, Recording, RuleGroup

__all__ = [
    "AlertRule",
    "Recording",
    "RuleGroup",
    "alert_windows",
    "compile_slo",
    "compile_specs",
    "to_prometheus_rule",
    "to_yaml",
]
