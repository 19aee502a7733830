"""Rules for rulers that take them by an API: Mimir's and Cortex's, and what speaks it."""

from slo.push.plan import Plan, plan
from slo.push.ruler import Ruler

__all__ = ["Plan", "Ruler", "plan"]
