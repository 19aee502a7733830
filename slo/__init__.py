"""SLOs and error budgets: definitions become Prometheus rules, exact figures and reports."""
