"""`python -m tests.words` looks for the words that tests/words.yaml names: in what people read, and in names. `make check` runs it.

Each finding is one line with file, line, the word, and what to write instead; the exit code is 1 where there is one.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
LIST = ROOT / "tests" / "words.yaml"
# Where there is no git to ask, as in an unpacked source archive.
PLACES = ("slo", "tests", "docs", "notebooks", "definitions", "reports", ".github", "README.md", "CHANGELOG.md", "CONTRIBUTING.md",
          "SECURITY.md", "Makefile", "pyproject.toml", "mkdocs.yml")  # fmt: skip
# Around a word of a name, in lower case and with underscores.
_BEFORE, _AFTER = "(?<![a-z])", "(?![a-z])"


@dataclass
class Allowed:
    """A place where a word stays, and why. `used` once it has been needed."""

    path: re.Pattern[str]
    line: re.Pattern[str]
    why: str
    used: bool = False


@dataclass
class Word:
    """A word that is not used, and what is said instead."""

    pattern: re.Pattern[str]
    use: str
    example: str
    allowed: list[Allowed] = field(default_factory=list)

    def findings(self, path: str, line: str) -> Iterator[str]:
        """What of the line is not to be there."""
        for match in self.pattern.finditer(line):
            if not any(self._stays(rule, path, line) for rule in self.allowed):
                yield match[0]

    def _stays(self, rule: Allowed, path: str, line: str) -> bool:
        stays = bool(rule.path.search(path) and rule.line.search(line))
        rule.used |= stays
        return stays


@dataclass
class Words:
    """The whole list."""

    text: list[Word]
    name: list[Word]
    vague: Word
    vague_in: re.Pattern[str]
    skip: re.Pattern[str]
    until: dict[str, re.Pattern[str]]

    @classmethod
    def read(cls, path: Path = LIST) -> Words:
        """Reads the list."""
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        vague = data["vague"]
        return cls(
            [_word(entry, entry["word"]) for entry in data["text"]],
            [_word(entry, f"{_BEFORE}{entry['word']}{_AFTER}") for entry in data["name"]],
            Word(re.compile(rf"^({'|'.join(vague['words'])})$"), vague["use"], vague["words"][0]),
            re.compile(vague["in"]),
            re.compile(data["skip"]),
            {file: re.compile(pattern, re.M) for file, pattern in data["until"].items()},
        )

    @cached_property
    def any_text(self) -> re.Pattern[str]:
        """Finds any of the words that text is without."""
        return re.compile("|".join(f"(?:{word.pattern.pattern})" for word in self.text), re.I)

    @cached_property
    def any_name(self) -> re.Pattern[str]:
        """Finds any of the words that names are without, wherever they may be in one."""
        plain = [word.pattern.pattern.removeprefix(_BEFORE).removesuffix(_AFTER) for word in self.name]
        return re.compile("|".join(plain), re.I)

    @cached_property
    def any_vague(self) -> re.Pattern[str]:
        """The same, or a name that says nothing."""
        return re.compile(rf"{self.any_name.pattern}|\b{self.vague.pattern.pattern.strip('^$')}\b", re.I)


def _word(entry: dict[str, Any], pattern: str) -> Word:
    allowed = [
        Allowed(re.compile(rule.get("in", "")), re.compile(rule.get("as", ""), re.I), rule["why"])
        for rule in entry.get("allowed", ())
    ]
    return Word(re.compile(pattern, re.I), entry["use"], entry["example"], allowed)


def text_of(path: str, content: str) -> Iterator[tuple[int, str]]:
    """(line number, text) of what people read of a file: of Python its strings and comments, else all of it."""
    if not path.endswith(".py"):
        yield from enumerate(content.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT) or token.type == getattr(tokenize, "FSTRING_MIDDLE", None):
            for number, line in enumerate(token.string.split("\n")):
                yield token.start[0] + number, _without_values(token.string, line)


def _without_values(token: str, line: str) -> str:
    """Of an f-string the text alone, where it is one token with the names between braces (before Python 3.12)."""
    return re.sub(r"\{[^{}]*\}", "{}", line) if re.match(r"[rb]*f[rb]*[\"']", token, re.I) else line


def names_of(path: str, content: str) -> Iterator[tuple[int, str, bool]]:
    """(line number, name, whether it is a variable or an argument) of all that a Python file names, itself included."""
    yield 1, Path(path).stem, False
    for node in ast.walk(ast.parse(content)):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name, False
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name, True
            case ast.arg(arg=name):
                yield node.lineno, name, True
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name, True
            case _:
                pass


def words_of(name: str) -> str:
    """A name in lower case, its words with underscores between them."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def check(path: str, content: str, words: Words) -> Iterator[str]:
    """The findings in a file, `path` relative to the repository: file, line, word, and what to write."""
    if words.skip.search(path):
        return
    if path in words.until and (end := words.until[path].search(content)):
        content = content[: end.start()]
    # Most files have none of the words: these need no closer look.
    for number, line in text_of(path, content) if words.any_text.search(content) else ():
        for word in words.text:
            for text in word.findings(path, line):
                yield f"{path}:{number}: {text!r}: use {word.use}"
    in_names = words.any_vague if words.vague_in.search(path) else words.any_name
    if path.endswith(".py") and (in_names.search(content) or in_names.search(path)):
        for number, name, is_variable in names_of(path, content):
            for word in words.name:
                if any(word.findings(path, words_of(name))):
                    yield f"{path}:{number}: the name {name}: use {word.use}"
            if is_variable and words.vague_in.search(path) and any(words.vague.findings(path, name)):
                yield f"{path}:{number}: the name {name}: use {words.vague.use}"


@cache
def files() -> tuple[str, ...]:
    """The files of the repository that hold text, relative to it."""
    done = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode == 0 and done.stdout:
        found: Iterable[str] = done.stdout.splitlines()
    else:
        found = sorted(
            path.relative_to(ROOT).as_posix()
            for place in PLACES
            for path in ([ROOT / place] if (ROOT / place).is_file() else (ROOT / place).rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts and "out" not in path.parts
        )
    return tuple(name for name in found if (ROOT / name).is_file())


def findings(words: Words) -> list[str]:
    """The findings in the whole repository, and the exceptions that nothing needs."""
    lines: list[str] = []
    for name in files():
        if not words.skip.search(name):
            lines += check(name, (ROOT / name).read_text(encoding="utf-8"), words)
    for word in (*words.text, *words.name):
        lines += [
            f"tests/words.yaml: nothing needs the exception {rule.path.pattern!r} {rule.line.pattern!r} of {word.example!r}"
            for rule in word.allowed
            if not rule.used
        ]
    return lines


if __name__ == "__main__":
    lines = findings(Words.read())
    print("\n".join(lines), end="\n" if lines else "")
    sys.exit(bool(lines))
