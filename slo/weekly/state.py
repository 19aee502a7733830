"""What has been done: one small JSON file, written last."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from slo.errors import ConfigError
from slo.files import write_text
from slo.weekly.period import unit_of

VERSION = 1
# What the file calls `notified`, since its first version.
_NOTIFIED = "told"


@dataclass
class Done:
    """One period: whether its source answered (`whole`), where it has been delivered, and who was notified of missing data.

    A place is `email` or `webhook`; of a mail that some addressees have and others were refused, `mark_of` each who has it.
    """

    whole: bool = False
    delivered: list[str] = field(default_factory=list)
    notified: list[str] = field(default_factory=list)


@dataclass
class JobState:
    """All periods, by name."""

    periods: dict[str, Done] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> JobState:
        """An empty state where there is no file. Raises ConfigError where it is damaged."""
        fix = "move it away, and the job makes the last period's report again (and delivers it again)"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (ValueError, RecursionError):
            raise ConfigError(f"{path}: is damaged: it is not JSON, or ends early; {fix}") from None
        version = content.get("version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise ConfigError(
                f"{path}: was written by a later version (format {version}, this one reads {VERSION}); update this package"
            )
        try:
            if version != VERSION:
                raise ValueError("version")
            return cls({name: _done(name, done) for name, done in content["periods"].items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path}: is damaged ({error}); {fix}") from None

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        periods = {name: _data(done) for name, done in sorted(self.periods.items())}
        write_text(path, json.dumps({"version": VERSION, "periods": periods}, indent=1) + "\n")


def mark_of(address: str) -> str:
    """An addressee as the state keeps it: the file lies alongside the report, where others may read it."""
    return f"email {hashlib.sha256(address.encode()).hexdigest()[:16]}"


def _data(done: Done) -> dict[str, object]:
    return {_NOTIFIED if key == "notified" else key: value for key, value in asdict(done).items()}


def _done(name: str, content: dict[str, object]) -> Done:
    """Raises ValueError, TypeError where it is of another shape."""
    done = Done(**{"notified" if key == _NOTIFIED else key: value for key, value in content.items()})  # type: ignore[arg-type]
    texts = [*done.delivered, *done.notified]
    if type(done.whole) is not bool or not all(isinstance(text, str) for text in texts) or unit_of(name) is None:
        raise ValueError(f"period {name!r}")
    return done
