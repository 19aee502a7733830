"""The report job: once per period, caught up, delivered, and kept beyond what the server keeps."""

from slo.weekly.config import WeeklyConfig, read_config
from slo.weekly.job import run
from slo.weekly.period import Period, last_whole

__all__ = ["Period", "WeeklyConfig", "last_whole", "read_config", "run"]
