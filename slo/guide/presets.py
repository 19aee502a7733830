"""Presets for somebody who meets them: what one measures, a definition to start from, and the page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from slo.guide.kinds import head_of
from slo.spec.presets import FILTER, ParameterModel, Preset


def preset_text(preset: Preset, service: str) -> str:
    """A commented definition with one SLO of a preset: each parameter on a line, those that may be left out as comments."""
    model = preset.model
    lines = [f"  # {model.title}, from {model.exporter}.", f"  - preset: {preset.name}"]
    for key in ("name", "objective", "description"):
        lines.append(f"    {key}: {model.slo[key]}")
    needed = [key for key, parameter in preset.parameters.items() if parameter.required]
    lines.append("    with:" if needed else "    # with:")
    for key, parameter in preset.parameters.items():
        value = parameter.default or parameter.example or ""
        mark = "" if parameter.required else "# "
        lines.append(f"      {mark}{f'{key}: {quoted(value)}':<28} # {parameter.description}")
    return head_of(service) + "\n".join(line.rstrip() for line in lines) + "\n"


def quoted(value: str) -> str:
    """A YAML text in single quotes."""
    return "'" + value.replace("'", "''") + "'"


def explain_preset(preset: Preset) -> str:
    """What a preset measures, its parameters, and the SLI that it becomes."""
    model = preset.model
    lines = [f"{preset.name}: {model.title}", "", f"  from         {model.exporter}", f"  documented   {model.source}"]
    if model.sloth:
        lines.append(f"  in Sloth     the plugin {model.sloth}")
    lines += ["", f"  Objective: {model.slo['objective']}, if the entry says no other. {model.slo['description']}."]
    if model.notes:
        lines.append(f"  {model.notes}")
    lines += ["", "Parameters, under `with`:"]
    lines += [f"  {key}: {parameter.description}{_more(parameter)}" for key, parameter in preset.parameters.items()]
    lines += ["", f"What it is ({preset.kind}):", *(f"  {line}" for line in _sli_lines(preset))]
    return "\n".join(lines) + "\n"


def _more(parameter: ParameterModel) -> str:
    if parameter.required:
        return f" (must be given, such as {parameter.example})"
    if parameter.default is not None:
        return f" ({parameter.default} if not given)"
    return f" (such as {parameter.example})" if parameter.example else ""


def _sli_lines(preset: Preset) -> Iterator[str]:
    for key, value in preset.model.slo["sli"][preset.kind].items():
        yield f"{key}: {value}"


def list_of(presets: Iterable[Preset]) -> str:
    """A line for each preset."""
    return "".join(f"{preset.name:<32} {preset.model.title}\n" for preset in presets)


def page_of(presets: Iterable[Preset]) -> str:
    """The sections of docs/presets.md on the presets, as Markdown."""
    parts = []
    for preset in presets:
        model = preset.model
        parts.append(f"### {preset.name}\n{model.title}. From {model.exporter}; documented in: {model.source}.")
        if model.sloth:
            parts[-1] += f" Sloth's plugin `{model.sloth}`."
        if model.notes:
            parts[-1] += f" {model.notes}"
        rows = [
            f"| `{key}` | {parameter.description} | {_shown(parameter)} |"
            for key, parameter in preset.parameters.items()
            if key != FILTER
        ]
        if rows:
            parts.append("| parameter | what it is | if not given |\n|---|---|---|\n" + "\n".join(rows))
        body = "\n".join(f"  {line}" for line in _sli_lines(preset))
        parts.append(f"```text\nobjective: {model.slo['objective']}\n{preset.kind}:\n{body}\n```")
    return "\n\n".join(parts) + "\n"


def _shown(parameter: ParameterModel) -> str:
    if parameter.required:
        return f"must be given, such as `{parameter.example}`"
    return f"`{parameter.default}`".replace("|", "\\|") if parameter.default is not None else "left out"
