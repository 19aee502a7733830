"""Regular expressions as Prometheus reads them: RE2, anchored at both ends, the dot matching newlines too."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from slo.errors import PromqlError


@lru_cache(maxsize=1024)
def compile_re2(pattern: str) -> Any:
    """The RE2 object of `^(?s:pattern)$`. Raises PromqlError for a pattern that RE2 refuses."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_nl = False
    try:
        re2.compile(pattern, options=options)  # on its own first: a stray bracket must not close the group below
        return re2.compile(f"^(?s:{pattern})$", options=options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise PromqlError(f"error parsing regexp: {reason}: {pattern!r}") from None


@lru_cache(maxsize=1024)
def compile_anchored(pattern: str) -> Callable[[str], bool]:
    """A predicate over label values. Raises PromqlError for a pattern that RE2 refuses."""
    compiled = compile_re2(pattern)

    def matches(text: str) -> bool:
        return compiled.fullmatch(text.encode("utf-8", "surrogateescape")) is not None

    # patterns of bytes: label values may hold bytes that are no UTF-8
    return matches
