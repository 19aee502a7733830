"""The command line: one file per command. The only package that prints, reads flags, reads the clock, or exits."""

from slo.cli.main import main, run
from slo.cli.program import app

__all__ = ["app", "main", "run"]
