"""The pages on the five systems say what the programs say today."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.systems.expected import SYSTEMS
from tests.systems.tutorials import TEXTS, page

PAGES = Path(__file__).parent.parent.parent / "docs" / "systems"


def test_every_system_has_a_page() -> None:
    assert set(TEXTS) == set(SYSTEMS) == {path.stem for path in PAGES.glob("*.md")}


@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")
@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_systems_page_is_up_to_date(name: str) -> None:
    """`python -m tests.systems.tutorials` writes them anew."""
    assert (PAGES / f"{name}.md").read_text(encoding="utf-8") == page(name)
