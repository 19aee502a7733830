"""Work for a cluster, one item of which kills the worker that it is given to first."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import NamedTuple


class Item(NamedTuple):
    number: int
    mark: str
    log: str


def work(item: Item) -> int:
    if item.number == 2 and not Path(item.mark).exists():
        Path(item.mark).touch()
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return item.number**2
