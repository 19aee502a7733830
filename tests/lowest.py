"""Prints the oldest version that pyproject.toml accepts of each dependency, for `make lowest`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def lowest() -> list[str]:
    """`name==version` for each dependency with a lower bound, and the bare name for one without."""
    dependencies = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    return [re.sub(r">=\s*", "==", requirement) for requirement in dependencies]


if __name__ == "__main__":
    print("\n".join(lowest()))
