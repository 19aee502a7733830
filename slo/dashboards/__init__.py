"""Grafana dashboards for the recorded series, as JSON: an overview of all SLOs, and one SLO in detail."""
