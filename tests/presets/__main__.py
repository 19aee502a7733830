"""Writes the sections of docs/presets.md anew: `python -m tests.presets`."""

from pathlib import Path

from slo.guide.presets import page_of
from slo.spec import presets

PAGE = Path("docs/presets.md")
HEAD, MARK, _ = PAGE.read_text(encoding="utf-8").partition("## All presets\n")
PAGE.write_text(HEAD + MARK + "\n" + page_of(map(presets.load, presets.names())), encoding="utf-8")
