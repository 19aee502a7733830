"""What has been done: one small JSON file, written last."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from slo.errors import ConfigError
from slo.files import write_text

VERSION = 1


@dataclass
class Done:
    """One period: whether its source answered (`whole`), where it has been delivered, and who was told of missing data."""

    whole: bool = False
    delivered: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


@dataclass
class State:
    """All periods, by name."""

    periods: dict[str, Done] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> State:
        """An empty state where there is no file. Raises ConfigError where it is damaged."""
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls()
        try:
            content = json.loads(text)
            if content["version"] != VERSION:
                raise ValueError("version")
            return cls({name: Done(**done) for name, done in content["periods"].items()})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ConfigError(
                f"{path}: is damaged; remove it, and the job makes the last period's report again"
            ) from None

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        periods = {name: asdict(done) for name, done in sorted(self.periods.items())}
        write_text(path, json.dumps({"version": VERSION, "periods": periods}, indent=1) + "\n")
