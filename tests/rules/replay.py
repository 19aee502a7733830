"""Rules over history: promtool evaluates what reads raw series, then what reads that, as the backfill script does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from slo.rules import Recording, RuleGroup, to_yaml
from slo.rules.backfill import passes
from tests.servers import Prometheus, promtool


def backfill(place: Path, data: Path, groups: Sequence[RuleGroup], start: int, end: int, most: int = 9) -> None:
    """Fills `data` with the recorded series of (start, end], seconds; `most` passes at most."""
    for number, level in enumerate(passes(groups)[:most]):
        rules = place / f"pass{number}.yml"
        rules.write_text(to_yaml(level))
        out = place / f"pass{number}"
        with Prometheus(place, data=data) as server:
            done = promtool(
                "tsdb", "create-blocks-from", "rules", f"--url={server.url}", f"--start={start}", f"--end={end}",
                f"--output-dir={out}", rules, timeout=1800,
            )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        for block in out.iterdir():
            shutil.move(str(block), data / block.name)


def recordings(groups: Sequence[RuleGroup], keep: Callable[[Recording], bool]) -> tuple[RuleGroup, ...]:
    """Only some recordings of the groups, and no alerts."""
    kept = [replace(g, rules=tuple(r for r in g.rules if isinstance(r, Recording) and keep(r))) for g in groups]
    return tuple(group for group in kept if group.rules)
