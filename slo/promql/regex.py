"""Regular expressions as Prometheus reads them: RE2, anchored at both ends, the dot matching newlines too."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from slo.errors import PromqlError
from slo.promql.ast import Matcher

# what Go's regexp calls the faults that RE2 in C++ names otherwise
_IN_GO = {
    "missing ]": "missing closing ]", "missing )": "missing closing )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count", "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax", "invalid named capture group": "invalid named capture",
}  # fmt: skip


_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def literal(text: str) -> str:
    """A regular expression that matches just this text."""
    return _SPECIAL.sub(r"\\\g<0>", text)


@lru_cache(maxsize=1024)
def compile_re2(pattern: str, alone: bool = True) -> Any:
    """The RE2 object of `^(?s:pattern)$`, which must be one `alone` too. Raises PromqlError for what RE2 refuses."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_nl = False
    try:
        if alone:  # a stray bracket must not close the group below
            re2.compile(pattern, options=options)
        return re2.compile(f"^(?s:{pattern})$", options=options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        fault, _, part = reason.partition(": ")
        raise PromqlError(f"error parsing regexp: {_IN_GO.get(fault, fault)}: `{part or pattern}`") from None


@lru_cache(maxsize=1024)
def compile_anchored(pattern: str) -> Callable[[str], bool]:
    """A predicate over label values. Raises PromqlError for a pattern that RE2 refuses."""
    compiled = compile_re2(pattern)

    def matches(text: str) -> bool:
        return compiled.fullmatch(text.encode("utf-8", "surrogateescape")) is not None

    # patterns of bytes: label values may hold bytes that are not UTF-8
    return matches


def matches_empty(matcher: Matcher) -> bool:
    """Whether the matcher holds for a label that is not there."""
    match matcher.op:
        case "=":
            return matcher.value == ""
        case "!=":
            return matcher.value != ""
        case op:
            match = compile_anchored(matcher.value)("")
            return match if op == "=~" else not match
