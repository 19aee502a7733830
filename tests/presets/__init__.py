"""Presets: each file by itself, on a server, and on the exporter that it is for."""

from __future__ import annotations

from slo.spec import presets
from slo.spec.load import load_text
from slo.spec.model import Specs

NAMES = presets.names()


def with_parameters(name: str, **more: str) -> str:
    """An entry under `slos` with what the preset needs, by its examples, and an SLO's name of its own."""
    needed = {
        key: parameter.example or "" for key, parameter in presets.load(name).parameters.items() if parameter.required
    }
    rows = "".join(f"      {key}: '{value}'\n" for key, value in (needed | more).items())
    return f"  - preset: {name}\n    name: {name.replace('/', '.')}\n" + (f"    with:\n{rows}" if rows else "")


def specs_of(names: list[str], **more: str) -> Specs:
    """One service of these presets."""
    return load_text(
        "service: shop\ndefaults: {window: 1d}\nslos:\n" + "".join(with_parameters(name, **more) for name in names)
    )
