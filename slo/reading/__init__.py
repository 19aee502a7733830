"""Texts of a definition, read and checked: durations, quantities, selectors, expressions."""

from slo.reading.expressions import WINDOW_VARIABLE, read_vector, read_windowed
from slo.reading.faults import Fault, Path, Report
from slo.reading.selectors import bucket_holds, check_counter, check_gauge, check_level, check_one_metric
from slo.reading.texts import (
    parse_quantity,
    read_duration,
    read_selector,
    read_slice,
    refusal,
)

__all__ = [
    "WINDOW_VARIABLE",
    "Fault",
    "Path",
    "Report",
    "bucket_holds",
    "check_counter",
    "check_gauge",
    "check_level",
    "check_one_metric",
    "parse_quantity",
    "read_duration",
    "read_selector",
    "read_slice",
    "read_vector",
    "read_windowed",
    "refusal",
]
