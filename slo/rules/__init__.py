"""SLOs become Prometheus recording and alert rules. The package is callable: `slo.rules(specs)` is the file's text."""

from slo.callable import callable_as
from slo.rules.alerts import alert_windows
from slo.rules.compile import compile_slo, compile_specs
from slo.rules.format import to_prometheus_rule, to_yaml
from slo.rules.groups import AlertRule, RecordingRule, RuleGroup
from slo.rules.names import NAMES, OWN, SLOTH, Names
from slo.rules.texts import rule_texts
from slo.rules.unit_tests import rule_tests
from slo.rules.write import rules

__all__ = [
    "NAMES",
    "OWN",
    "SLOTH",
    "AlertRule",
    "Names",
    "RecordingRule",
    "RuleGroup",
    "alert_windows",
    "compile_slo",
    "compile_specs",
    "rule_tests",
    "rule_texts",
    "rules",
    "to_prometheus_rule",
    "to_yaml",
]

callable_as(__name__, rules)
