"""Reports: one HTML file that stands alone, and the same figures as Markdown, CSV and JSON."""

from __future__ import annotations

from slo.report.page import render
from slo.report.plain import to_csv, to_json, to_markdown

__all__ = ["render", "to_csv", "to_json", "to_markdown"]
