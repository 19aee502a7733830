"""Reports: HTML that stands alone, one file or a folder of them, and the same figures as Markdown, CSV and JSON.

The package is callable: `slo.report(review, "reports/out")`.
"""

from __future__ import annotations

from slo.callable import callable_as
from slo.report.formats import report
from slo.report.page import render, render_pages
from slo.report.plain import to_csv, to_json, to_markdown

__all__ = ["render", "render_pages", "report", "to_csv", "to_json", "to_markdown"]

callable_as(__name__, report)
