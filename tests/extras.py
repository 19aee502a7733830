"""Tests of what an extra brings: skipped where it is not installed, but in CI, where all of them are."""

from __future__ import annotations

import importlib.util
import os

import pytest


def needs(*modules: str) -> pytest.MarkDecorator:
    """Skips a test without these modules; in CI it runs, and fails, so that nothing goes untested in silence."""
    missing = [name for name in modules if not _is_there(name)]
    return pytest.mark.skipif(bool(missing) and not os.environ.get("CI"), reason=f"not installed: {', '.join(missing)}")


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
