"""How a fault in a definition is reported, by whoever reads a part of it."""

from __future__ import annotations

from collections.abc import Callable

# Where in the YAML: `("slos", 0, "sli")`.
Path = tuple[str | int, ...]
# Path, message, and "error", "warning" or "withheld": an error of an SLO that can be shown, but has no figures.
Report = Callable[[Path, str, str], None]


class Fault(Exception):  # noqa: N818 - carried to `report`, never shown by itself
    """A part that cannot be built; its problem has been reported."""
