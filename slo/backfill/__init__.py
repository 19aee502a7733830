"""History for recorded series that are new: what the rules would have recorded, computed from raw samples."""

from slo.backfill.compute import filled
from slo.backfill.job import Backfilled, backfill

__all__ = ["Backfilled", "backfill", "filled"]
