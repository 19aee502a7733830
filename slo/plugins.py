"""What installed packages add: kinds of SLI, sources, formats of reports and commands, by entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from slo.errors import ConfigError

# What an entry point's name and value are: a kind's key and class, a scheme and a function, a format and a function, a command
# and the module that adds it. docs/extending.md has an example of each.
KINDS, SOURCES, FORMATS, COMMANDS = "slo.kinds", "slo.sources", "slo.formats", "slo.commands"


def installed(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by their names, none of them loaded."""
    return {point.name: point for point in entry_points(group=group)}


def load(point: EntryPoint) -> Any:
    """What an entry point names. Raises ConfigError with the package where it cannot be imported."""
    try:
        return point.load()
    except Exception as error:
        package = f" of the package {point.dist.name}" if point.dist is not None else ""
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"{point.group} {point.name!r}{package} cannot be loaded: {reason}; fix it, or uninstall the package"
        ) from error
