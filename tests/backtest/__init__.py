"""Backtests, judged by the SRE workbook's arithmetic, by planted incidents and by a real Prometheus."""
