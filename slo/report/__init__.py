"""Reports: HTML that stands alone, one file or a folder of them, and the same figures as Markdown, CSV and JSON."""

from __future__ import annotations

from slo.report.page import render, render_pages
from slo.report.plain import to_csv, to_json, to_markdown

__all__ = ["render", "render_pages", "to_csv", "to_json", "to_markdown"]
