"""The rooms import one another in one direction only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From first to last: a room imports only from rooms before it, and from itself.
ORDER = [
    {"redact"},
    {"errors", "files", "display"},
    {"window"},
    {"promql"},
    {"fields", "reading", "suggest"},
    {"sli"},
    {"spec"},
    {"rules", "source"},
    {"budget"},
    {"backfill", "backtest"},
    {"report"},
    {"api", "check", "convert", "dashboards", "guide", "weekly"},
    {"cli"},
    {"__main__", "__init__"},
]
MODULES = sorted((ROOT / "slo").rglob("*.py"))


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" if node.module == "slo" else node.module for alias in node.names}
    return {name for name in found if name == "slo" or name.startswith("slo.")}


def rank(name: str) -> int:
    for index, rooms in enumerate(ORDER):
        if name in rooms:
            return index
    pytest.fail(f"slo/{name} has no place in the order of rooms")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_from_rooms_before_it(path: Path) -> None:
    parts = path.relative_to(ROOT / "slo").parts
    own = parts[0].removesuffix(".py")
    for name in imported(path):
        other = room(name)
        if name in ("slo", "slo.__version__"):
            assert own in ("cli", "__main__"), f"{path} imports the whole package"
        elif other != own:
            assert rank(other) < rank(own), f"{path}: {own} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_command_line_prints_or_exits(path: Path) -> None:
    if path.name == "script.py" or path.parent.name == "cli":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("print", "sys.exit", "exit", "datetime.now"), f"{path}:{node.lineno}"
