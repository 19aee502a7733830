"""Presets for the SLI plugins of Sloth that mean the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slo.convert.expression import SliDraft
from slo.convert.model import Refused
from slo.promql.ast import VectorSelector
from slo.promql.parse import parse
from slo.spec import presets

_FILTER = "filter"


def preset_of(plugin: str, options: Mapping[str, str], sli: SliDraft) -> dict[str, Any] | None:
    """`preset` and `with` of an entry that means just what a plugin's SLI does; None where there is none."""
    preset = _by_plugin().get(plugin)
    if preset is None:
        return None
    known = {**preset.model.sloth_options, _FILTER: _FILTER}
    # A plugin passes over options that it does not know; those that we do not know show in the SLI.
    given = {known[key]: value.strip() for key, value in options.items() if key in known and value.strip()}
    if "threshold" in given:  # the plugin's is a bound in the histogram's unit
        given["threshold"] = str(sli.body.get("threshold", ""))
    entry, faults = preset.entry(given)
    if faults or _meaning(entry["sli"]) != _meaning(sli.data):
        return None
    return {"preset": preset.name} | ({"with": given} if given else {})


def own_preset(plugin: str, options: Mapping[str, str]) -> dict[str, Any] | None:
    """The entry of a preset, in a team's own folder, that says itself to be a plugin; None where there is none. Raises Refused."""
    preset = _by_plugin().get(plugin)
    if preset is None:
        return None
    known = preset.model.sloth_options
    given = {known.get(key, key): value.strip() for key, value in options.items() if value.strip()}
    entry, faults = preset.entry(given)
    if faults:
        raise Refused(f"the plugin {plugin} is the preset {preset.name}, but {'; '.join(faults)}")
    return {"preset": preset.name, "sli": entry["sli"]} | ({"with": given} if given else {})


def _by_plugin() -> dict[str, presets.Preset]:
    every = map(presets.load, presets.names())
    return {preset.model.sloth: preset for preset in every if preset.model.sloth}


def _meaning(sli: Mapping[str, Any]) -> object:
    """An SLI with its selectors as what they select, in whatever order it is written."""
    [(kind, body)] = sli.items()
    return kind, {key: _selected(text) for key, text in body.items()}


def _selected(text: str | list[str]) -> object:
    if isinstance(text, list):
        return tuple(map(_selected, text))
    if not (text[:1].isalpha() and any(character in text for character in "_{")):
        return text  # a duration
    node = parse(text)
    return (node.name, frozenset(node.matchers)) if isinstance(node, VectorSelector) else node
