"""Go's text/template, as far as a Prometheus server checks it when it loads a rules file: `fault_in(text)`."""

from slo.spec.gotemplate.parse import TemplateFault, fault_in

__all__ = ["TemplateFault", "fault_in"]
