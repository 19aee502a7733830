"""Makes a module callable: `slo.review(…)` is a function, and `slo.review` the module that it lives in."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def callable_as(module: str, function: Callable[..., Any]) -> None:
    """Makes a module's call that of its main function.

    Python binds a submodule to its name in the package when it is first imported, so a function of the same name would be
    there or not by what was imported before.
    """
    main = sys.modules[module]
    kind = type("CallableModule", (ModuleType,), {"__call__": staticmethod(function)})
    main.__class__ = kind
    vars(main)["__wrapped__"] = function  # where `inspect.signature`, and an editor, look for its arguments
