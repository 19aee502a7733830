"""Placeholders of other tools in their queries: `{{ .window }}` and its like become `$window`."""

from __future__ import annotations

from slo.convert.model import Refused
from slo.reading import WINDOW_VARIABLE


def windowed(text: str) -> str:
    """A query with `$window` where Sloth's placeholder stood. Raises Refused for any other action."""
    for word in ("{% raw %}", "{% endraw %}"):
        text = text.replace(word, "")
    parts, rest = [], text
    while "{{" in rest:
        before, _, rest = rest.partition("{{")
        action, closed, rest = rest.partition("}}")
        if not closed or action.strip("- \t\n") != ".window":
            raise Refused(f"the template action {{{{{action}}}}} is not known; {{{{.window}}}} is")
        parts += [before, WINDOW_VARIABLE]
    return "".join([*parts, rest])
