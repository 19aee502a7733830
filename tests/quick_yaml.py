"""YAML that this project wrote, read again by libyaml: of a thousand rules Python's own reader takes seconds."""

from __future__ import annotations

from typing import Any

import yaml


def read_yaml(text: str) -> Any:
    """The one document of a text."""
    return yaml.load(text, Loader=yaml.CSafeLoader)
