"""The packages import one another in one direction only, and no two files in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import slo
import slo.promql

ROOT = Path(__file__).parent.parent
# From first to last: a package imports only from packages before it, and from itself.
ORDER = [
    {"redact"},
    {"errors", "files", "display", "callable", "spans"},
    {"limits", "plugins", "spread"},
    {"jobs"},
    {"window"},
    {"promql"},
    {"fields", "reading", "suggest"},
    {"sli"},
    {"spec"},
    {"rules", "source"},
    {"budget"},
    {"backfill", "backtest", "ledger", "review"},
    {"report"},
    {"notebook"},
    {"api", "check", "convert", "dashboards", "guide", "push", "weekly"},
    {"cli"},
    {"__main__", "__init__"},
]
MODULES = sorted((ROOT / "slo").rglob("*.py"))
# Two packages import what they name when it is first used, and say so in a table.
LAZY = {
    "slo": {*slo._HOMES.values(), *(f"slo.{package}" for package in slo._MODULES)},
    "slo.promql": {f"slo.promql.{module}" for module in slo.promql._HOMES.values()},
}


def module_of(path: Path) -> str:
    parts = ("slo", *path.relative_to(ROOT / "slo").with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_of(path): path.read_text(encoding="utf-8") for path in MODULES}


@cache
def nodes(text: str) -> tuple[ast.AST, ...]:
    """All nodes of a file, which several tests look at."""
    return tuple(ast.walk(ast.parse(text)))


def arrows(sources: Mapping[str, str], lazy: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The modules that each imports: at its top, in a function, for types only, or by name at run time."""
    return {module: set(_imported(module, text, sources, lazy)) - {module} for module, text in sources.items()}


def _imported(module: str, text: str, known: Mapping[str, str], lazy: Mapping[str, set[str]]) -> Iterator[str]:
    for node in nodes(text):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, f"{module}:{node.lineno}: relative import"
            if node.module in known:
                inner = (f"{node.module}.{alias.name}" for alias in node.names)
                yield from (name if name in known else node.module for name in inner)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
            "import_module",
            "__import__",
        ):
            if module in lazy:
                yield from lazy[module]
                continue
            name = node.args[0]
            assert isinstance(name, ast.Constant), (
                f"{module}:{node.lineno}: imports {ast.unparse(name)}, hidden from this test"
            )
            yield from {str(name.value)} & known.keys()


@cache
def own_arrows() -> dict[str, set[str]]:
    return arrows(SOURCES, LAZY)


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules that import one another in a circle; none where the graph is a tree."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def package(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def rank(name: str) -> int:
    for index, packages in enumerate(ORDER):
        if name in packages:
            return index
    pytest.fail(f"slo/{name} has no place in the order of packages")


@pytest.mark.parametrize("module", SOURCES)
def test_a_package_imports_only_from_packages_before_it(module: str) -> None:
    own = package(module)
    for name in own_arrows()[module]:
        other = package(name)
        if name == "slo":
            assert own in ("cli", "__main__"), f"{module} imports the whole package"
        elif other != own:
            assert rank(other) < rank(own), f"{module}: {own} imports {name}"


def test_no_modules_import_one_another_in_a_circle() -> None:
    # The command line asks the whole package for its version only, and nothing of the package asks for the command line.
    graph = {module: {name for name in names if name != "slo"} for module, names in own_arrows().items()}
    assert circle(graph) == []


@pytest.mark.parametrize(
    "hidden",
    [
        "import slo.b",
        "def f():\n    from slo import b",
        "if TYPE_CHECKING:\n    from slo.b import B",
        "def f():\n    importlib.import_module('slo.b')",
        "__import__('slo.b')",
    ],
)
def test_the_test_sees_every_way_of_importing(hidden: str) -> None:
    sources = {"slo": "", "slo.a": hidden, "slo.b": "from slo.a import A"}
    assert set(circle(arrows(sources, {}))) == {"slo.a", "slo.b"}
    lazily = {**sources, "slo.a": "def __getattr__(name):\n    return import_module(HOMES[name])"}
    assert circle(arrows(lazily, {"slo.a": {"slo.b"}}))
    with pytest.raises(AssertionError, match=r"slo\.a:2: imports HOMES\[name\], hidden"):
        arrows(lazily, {})


@pytest.mark.parametrize("module", [module for module in SOURCES if package(module) == "budget"])
def test_figures_know_nothing_of_tables_and_drawing(module: str) -> None:
    names = {
        name.partition(".")[0]
        for node in nodes(SOURCES[module])
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not names & {"pandas", "matplotlib", "html", "jinja2", "markupsafe", "IPython", "rich"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_command_line_prints_or_exits(path: Path) -> None:
    if path.parent.name == "cli":
        return
    for node in nodes(SOURCES[module_of(path)]):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("print", "sys.exit", "exit", "datetime.now"), f"{path}:{node.lineno}"


@pytest.mark.parametrize("module", SOURCES)
def test_datetimes_are_converted_in_one_place(module: str) -> None:
    """Milliseconds inside, datetimes at the edge: `slo.window` has `moment` and `moment_ms`."""
    # A header's date is not a moment of ours; the parser reads the word `timestamp`.
    allowed = {"slo.window": 3, "slo.source.http": 1, "slo.promql.parse": 1}
    calls = [
        node.func.attr
        for node in nodes(SOURCES[module])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in ("timestamp", "fromtimestamp", "utcfromtimestamp")
    ]
    assert len(calls) <= allowed.get(module, 0), calls


@pytest.mark.parametrize(
    "module", [module for module in SOURCES if package(module) in ("promql", "sli", "rules", "source")]
)
def test_counting_rules_and_sources_know_milliseconds_only(module: str) -> None:
    names = {
        alias.name
        for node in nodes(SOURCES[module])
        if isinstance(node, ast.ImportFrom | ast.Import)
        for alias in node.names
    }
    assert module == "slo.source.http" or not names & {"datetime", "timedelta"}  # dates of headers


def test_no_two_classes_have_one_name() -> None:
    """Whoever reads a name, in a message or in a traceback, knows which class it is; `_Part` is `Part` to a reader."""
    places: dict[str, list[str]] = {}
    for path in sorted((ROOT / "slo").rglob("*.py")):
        for node in nodes(path.read_text(encoding="utf-8")):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name.lstrip("_"), []).append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert {name: lines for name, lines in places.items() if len(lines) > 1} == {}
