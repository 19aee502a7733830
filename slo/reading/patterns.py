"""Texts that a regular expression matches: enough of RE2's grammar for what label matchers hold.

What comes out is a guess that the caller checks against the pattern itself: assertions and flags are passed over.
"""

from __future__ import annotations

import itertools
import re

_CLASSES = {"d": "1", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "h": " "}
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_KINDS = {"Lu": "A", "N": "1", "P": "-", "S": "+", "Z": " "}
_USUAL = "ax01-/_.Z "
_MOST = 24
_LONGEST = 1000  # characters, however often a pattern repeats its parts


def examples(pattern: str, any_text: str = "0") -> list[str]:
    """Up to two dozen texts that the pattern should match, alternatives first; `any_text` stands where `.` does."""
    return list(dict.fromkeys(_PatternReader(pattern, any_text).alternatives()))[:_MOST]


class _PatternReader:
    """Reads a pattern once, from left to right; each method gives the texts that its part may match."""

    def __init__(self, pattern: str, any_text: str) -> None:
        self.pattern = pattern
        self.any_text = any_text
        self.at = 0

    def alternatives(self) -> list[str]:
        texts = self._sequence()
        while self._take("|"):
            texts += self._sequence()
        return texts

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _take(self, text: str) -> bool:
        here = self.pattern.startswith(text, self.at)
        self.at += len(text) * here
        return here

    def _next(self) -> str:
        self.at += 1
        return self.pattern[self.at - 1 : self.at]

    def _sequence(self) -> list[str]:
        texts = [""]
        while self._peek() and self._peek() not in "|)":
            texts = [a + b for a, b in itertools.islice(itertools.product(texts, self._repeated()), _MOST)]
        return texts

    def _repeated(self) -> list[str]:
        texts = self._atom()
        while True:
            counted = re.compile(r"\{([0-9]+)(,[0-9]*)?\}").match(self.pattern, self.at)
            if counted:
                self.at = counted.end()
                texts = [text * min(int(counted[1]), _LONGEST // max(1, len(text))) for text in texts]
            elif not (self._take("*") or self._take("+") or self._take("?")):
                return texts

    def _atom(self) -> list[str]:
        match char := self._next():
            case "(":
                return self._group()
            case "[":
                return self._bracket()
            case "\\":
                return self._escaped()
            case ".":
                wild = self._peek() and self._peek() in "*+"
                return [self.any_text if wild else self.any_text[:1]]
            case "^" | "$":
                return [""]
        return [char]

    def _group(self) -> list[str]:
        flags = re.compile(r"\?(?:P?<[^>]*>|[a-zA-Z-]*(:|(?=\))))").match(self.pattern, self.at)
        if flags:
            self.at = flags.end()
        texts = self.alternatives()
        self._take(")")
        return texts

    def _escaped(self) -> list[str]:
        char = self._next()
        if char == "Q":
            end = self.pattern.find("\\E", self.at)
            end = len(self.pattern) if end < 0 else end
            text, self.at = self.pattern[self.at : end], end + 2
            return [text]
        if char == "x":
            code = re.compile(r"\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2})").match(self.pattern, self.at)
            if code:
                self.at = code.end()
                return [chr(min(int(code[1] or code[2], 16), 0x10FFFF))]
        if char in "pP":
            named = re.compile(r"\{\^?([A-Za-z]+)\}|([A-Z])").match(self.pattern, self.at)
            if named:
                self.at = named.end()
                kind = named[1] or named[2]
                return [_KINDS.get(kind, _KINDS.get(kind[:1], "a")) if char == "p" else "-"]
        if char in "bBAz":
            return [""]
        return [_CLASSES.get(char) or _CONTROL.get(char) or char]

    def _bracket(self) -> list[str]:
        """A class's first character; of one that excludes, a usual character that it leaves."""
        start = self.at
        negated = self._take("^")
        held: list[str] = []
        first = True
        while self._peek() and (first or self._peek() != "]"):
            first = False
            named = re.compile(r"\[:\^?([a-z]+):\]").match(self.pattern, self.at)
            if named:
                self.at = named.end()
                held.append("1" if named[1] in ("digit", "xdigit") else "A" if named[1] == "upper" else "a")
            elif self._take("\\"):
                held += self._escaped()
            else:
                held.append(self._next())
            if self._peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                self._next()
        self._take("]")
        if not negated:
            return held[:1]
        # What a bracket excludes is read as it stands, by a class of the same text.
        try:
            fits = re.compile(self.pattern[start - 1 : self.at])
        except re.error:
            return ["x"]
        return [char for char in _USUAL if fits.fullmatch(char)][:1]
