"""What other processes do in tests: little, so that they start soon."""

from __future__ import annotations

import os
import time

from slo.errors import SourceError


def made() -> str:
    """What a process has for itself."""
    return f"made in {os.getpid()}"


def doubled(state: str, item: int) -> tuple[str, int]:
    """What is made, and twice the item; 7 fails."""
    if item == 7:
        raise SourceError("seven is not there")
    time.sleep(0.02 * (item % 2))
    return state, 2 * item


def slow(state: str, item: int) -> int:
    """A minute."""
    time.sleep(60)
    return item
