"""Loads what a run loads, once for all children."""

import prometheus_api_client
import pyarrow.parquet

import slo.budget.events
import slo.cli
import slo.report
import slo.spec.events
import slo.weekly

__all__ = ["prometheus_api_client", "pyarrow", "slo"]
