"""The exceptions of this package: one small tree, caught once, in the command line.

Every message says what is wrong, where, and how to fix it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from slo.redact import hide_userinfo


class SloError(Exception):
    """The root: whatever this package raises on purpose is one of these. No message shows an address's user and password."""

    def __init__(self, message: str = "") -> None:
        super().__init__(hide_userinfo(message))


@dataclass(frozen=True, order=True)
class Problem:
    """One fault in a definition, pointing at the place where a person fixes it.

    Attributes:
        file: The file.
        line: Counted from 1; 0 where the whole file is meant.
        column: Counted from 1.
        path: The path in the YAML, such as `slos[0].sli.ratio.total`.
        message: What is wrong, what is accepted, a suggestion.
        severity: `error` or `warning`.
        withheld: Whether it is an error of one SLO, whose figures are withheld while others are evaluated.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    severity: str = "error"  # or "warning"
    withheld: bool = False  # an error of one SLO, whose figures are withheld while others are evaluated

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", hide_userinfo(self.message))
        object.__setattr__(self, "file", hide_userinfo(self.file))

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        where = f" {self.path}:" if self.path else ""
        return f"{place}: {self.severity}:{where} {self.message}"


class DefinitionError(SloError):
    """All faults of all definition files that were read together, in the order of files and lines.

    Attributes:
        problems: The faults one by one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DurationError(SloError, ValueError):
    """A text that is not a valid duration or no window."""


class PromqlError(SloError):
    """A PromQL expression that does not parse, or that fails when it is evaluated, as a server would say it."""


class SourceError(SloError):
    """A source of samples failed or answered with something that cannot be used. Never names a credential."""


class RecordingError(SourceError):
    """A recording that is missing, damaged or written by a later version."""


class ConfigError(SloError):
    """A configuration file or an environment variable that cannot be used."""


@contextmanager
def named(slo: str) -> Iterator[None]:
    """Within it, what a source fails with names the SLO that it was asked for. Raises SourceError."""
    try:
        yield
    except SourceError as error:
        if str(error).startswith(slo):
            raise
        raise type(error)(f"{slo}: {error}") from error
    except PromqlError as error:
        # What an expression of a definition came to on these samples; a server would have answered so.
        raise SourceError(f"{slo}: {error}" if slo else str(error)) from error
    except ArithmeticError as error:
        # Sums of values such as 1e308 are infinite, which no number of events is.
        raise SourceError(f"{slo}: the values of its series are too large to be added up") from error
