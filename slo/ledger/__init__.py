"""The ledger: what was counted, kept for years as Parquet that anybody's tools read. docs/ledger.md has its schema."""

from slo.ledger.entry import Entry
from slo.ledger.ledger import Ledger
from slo.ledger.tables import STEP_MS, DamagedError
from slo.ledger.update import entries_of, fingerprint

__all__ = ["STEP_MS", "DamagedError", "Entry", "Ledger", "entries_of", "fingerprint"]
