"""Reports: one HTML file that stands alone, and the same figures as Markdown and CSV."""

from __future__ import annotations

from slo.report.page import render

__all__ = ["render"]
