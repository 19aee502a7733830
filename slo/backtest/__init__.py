"""What alerts would have done on history: caught incidents, delays, pages, and budget consumed unseen."""

from slo.backtest.incidents import planted, read_incidents
from slo.backtest.merge import merged
from slo.backtest.model import Backtest, BacktestIncident, Detection, Firing, Outcome, Played, Score
from slo.backtest.policy import Policy, of_definitions, of_file, of_rules
from slo.backtest.run import run

__all__ = [
    "Backtest",
    "BacktestIncident",
    "Detection",
    "Firing",
    "Outcome",
    "Played",
    "Policy",
    "Score",
    "merged",
    "of_definitions",
    "of_file",
    "of_rules",
    "planted",
    "read_incidents",
    "run",
]
