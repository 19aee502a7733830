"""`import slo`: what the command line does, from Python and in notebooks."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import slo
from slo.cli.main import run
from slo.notebook import to_html
from slo.source.recording import Recording
from slo.window import DAY, HOUR, MINUTE, moment
from tests.memory import Memory
from tests.test_review import END, SAMPLES, SPECS, TEXT

ROOT = Path(__file__).parent.parent
SHOP: dict[str, Any] = {
    "service": "shop",
    "slos": [
        {
            "name": "errors",
            "objective": 99,
            "window": "1d",
            "sli": {"ratio": {"errors": "e_total", "total": "t_total"}},
        },
        {"name": "quiet", "objective": 90, "window": "1d", "sli": {"ratio": {"errors": "q_total", "total": "t_total"}}},
    ],
}


def without_places(specs: slo.Specs) -> dict[str, Any]:
    from dataclasses import replace

    return {name: replace(spec, file="", line=0) for name, spec in specs.items()}


def source() -> Memory:
    return Memory(SAMPLES, END)


# Definitions


def test_a_dict_a_text_and_a_file_are_the_same_definitions(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(TEXT)
    assert without_places(slo.load(SHOP)) == without_places(slo.load(TEXT)) == without_places(slo.load(tmp_path))


@pytest.mark.parametrize(
    "written", [99.99, "99.99", "99.99%", Decimal("99.99")], ids=lambda value: f"{type(value).__name__}-{value}"
)
def test_an_objective_is_the_decimal_that_is_written(written: object) -> None:
    [spec] = slo.load({"service": "s", "slos": [{"name": "up", "objective": written, "sli": {"probe": "up"}}]}).values()
    assert spec.objective.percent == Decimal("99.99") and spec.objective.error_budget == Decimal("0.0001")


@given(st.dictionaries(st.text(), st.recursive(st.text() | st.booleans() | st.integers(), st.lists), max_size=3))
@settings(max_examples=40, deadline=None)
def test_any_dict_is_definitions_or_an_error(data: dict[str, Any]) -> None:
    with pytest.raises(slo.DefinitionError) as caught:
        slo.load(data)
    assert all(problem.file == "<dict>" and problem.line == 0 for problem in caught.value.problems)


def test_faults_of_a_dict_are_named_by_path_and_of_a_text_by_line() -> None:
    wrong = {**SHOP, "slos": [{**SHOP["slos"][0], "objectiv": 99}]}
    with pytest.raises(
        slo.DefinitionError, match=r"^<dict>: error: slos\[0\].objectiv: unknown key `objectiv`; did you mean"
    ):
        slo.load(wrong)
    with pytest.raises(slo.DefinitionError, match=r"<text>:4:\d+: error: slos\[0\].objectiv: unknown key"):
        slo.load(TEXT.replace("objective: 99,", "objectiv: 99,"))
    with pytest.raises(slo.DefinitionError, match=r"slos\[0\]: Slo is not a text, number, list or mapping"):
        slo.load({"service": "shop", "slos": [SPECS["shop/errors"]]})
    with pytest.raises(slo.DefinitionError, match="does not exist"):
        slo.load("service: shop")  # of one line: a path


def test_specs_add_up_as_dicts_do() -> None:
    other = slo.load({"service": "till", "slos": [{"name": "up", "objective": 99, "sli": {"probe": "up"}}]})
    strict = slo.load({"service": "shop", "slos": [{**SHOP["slos"][0], "objective": "99.9"}]})
    both = SPECS | other
    assert list(both) == ["shop/errors", "shop/quiet", "till/up"] and len(SPECS) == 2
    assert both["till/up"] is other["till/up"]
    changed = SPECS | strict
    assert {name: str(spec.objective) for name, spec in changed.items()} == {
        "shop/quiet": "90%",
        "shop/errors": "99.9%",
    }
    assert slo.rules(both).count("- name: ") == slo.rules(SPECS).count("- name: ") + slo.rules(other).count("- name: ")
    assert without_places(SPECS | SPECS) == without_places(SPECS)
    with pytest.raises(TypeError):
        SPECS | {"shop/errors": SPECS["shop/errors"]}


def test_adding_specs_keeps_plain_alerts_and_warnings_once() -> None:
    text = TEXT + "alerts:\n  - {name: Down, expr: up == 0}\n"
    doubtful = slo.load(text.replace("total: t_total}", "total: 't_total{code=\"5..\"}'}"))
    assert doubtful.warnings
    twice = doubtful | doubtful
    assert [alert.name for service in twice.services for alert in service.alerts] == ["Down"]
    assert twice.warnings == doubtful.warnings


# Figures


@pytest.mark.parametrize(("objective", "window"), [("99.5", None), (None, "2d"), (99.9, "12h"), (None, None)])
def test_what_if_is_the_figure_of_such_a_definition(objective: Any, window: str | None) -> None:
    """A what-if gives what the same YAML with the other objective or window gives."""
    text = TEXT.replace("objective: 99,", f"objective: {objective or 99},")
    text = text.replace(
        "window: 1d, sli: {ratio: {errors: 'e_total'", f"window: {window or '1d'}, sli: {{ratio: {{errors: 'e_total'"
    )
    written = slo.evaluate(slo.load(text)["shop/errors"], source())
    asked = slo.evaluate(SPECS["shop/errors"], source(), objective=objective, window=window)
    assert asked.to_dict() == written.to_dict()
    assert str(SPECS["shop/errors"].objective) == "99%"  # nothing is changed


def test_what_if_of_a_day_by_hand() -> None:
    """1,200 bad of 28,800: of 99.5 % 144 are allowed, of two days at 99 % (1,800 bad of 57,600) 576."""
    errors = SPECS["shop/errors"]
    assert slo.evaluate(errors, source(), objective=99.5).consumed == pytest.approx(1200 / 144)
    two_days = slo.evaluate(errors, source(), window="2d")
    assert two_days.consumed == pytest.approx(1800 / 576) and (two_days.errors, two_days.total) == (1800, 57_600)
    with pytest.raises(ValueError, match="objective 101 is above 100"):
        slo.evaluate(errors, source(), objective=101)
    with pytest.raises(slo.DurationError, match="'1 fortnight'"):
        slo.evaluate(errors, source(), window="1 fortnight")


def test_moments_may_be_text() -> None:
    errors, at = SPECS["shop/errors"], moment(END - 3 * HOUR)
    text = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    assert slo.evaluate(errors, source(), at=text).to_dict() == slo.evaluate(errors, source(), at=at).to_dict()
    start, end = f"{moment(END - HOUR):%Y-%m-%d %H:%M}", f"{moment(END):%Y-%m-%d}"
    assert slo.breakdown(errors, source(), start, end)["instance"]["errors"].to_dict() == {"a": 600, "b": 0}


# Files


def test_rules_are_those_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shop.yaml").write_text(TEXT)
    specs = slo.load(tmp_path / "shop.yaml")
    for flags, arguments in (
        ([], {}),
        (["--names", "sloth"], {"names": "sloth"}),
        (
            ["--format", "operator", "--namespace", "n", "--label", "team=shop"],
            {"format": "operator", "namespace": "n", "labels": {"team": "shop"}},
        ),
    ):
        assert run(["rules", str(tmp_path / "shop.yaml"), *flags]) == 0
        assert slo.rules(specs, **arguments) == capsys.readouterr().out
    with pytest.raises(slo.ConfigError, match="'sloht' is not a valid set of names; did you mean `sloth`"):
        slo.rules(specs, names="sloht")
    with pytest.raises(slo.ConfigError, match="not a format of rules"):
        slo.rules(specs, format="operater")  # type: ignore[arg-type]


def test_a_report_is_that_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(TEXT)
    specs = slo.load(tmp_path / "shop.yaml")
    saved = slo.record(specs, source(), tmp_path / "r.parquet", start="3d")
    formats = ["html", "markdown", "json", "csv"]
    review = slo.review(specs, saved)
    paths = slo.report(review, tmp_path / "python", formats)
    assert [path.name for path in paths] == ["index.html", "report.md", "report.json", "report.csv"]
    flags = [part for name in formats for part in ("--format", name)]
    assert run(["report", str(tmp_path / "shop.yaml"), "-s", saved.name, "-o", str(tmp_path / "shell"), *flags]) == 0
    mine, theirs = (json.loads((tmp_path / place / "report.json").read_text()) for place in ("python", "shell"))
    assert mine["generated"] == f"{review.at:%Y-%m-%dT%H:%M:%SZ}" and mine["slos"]
    assert {**mine, "generated": ""} == {**theirs, "generated": ""}
    assert (tmp_path / "python" / "report.csv").read_text() == (tmp_path / "shell" / "report.csv").read_text()
    again = slo.report(review, tmp_path / "again")
    assert [path.read_bytes() for path in again] == [(tmp_path / "python" / "index.html").read_bytes()]


def test_a_format_that_is_not_there_is_named_before_anything_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shop.yaml").write_text(TEXT)
    assert (
        run(["report", str(tmp_path / "shop.yaml"), "-s", "http://127.0.0.1:9", "-o", str(tmp_path), "--format", "pdf"])
        == 2
    )
    assert "'pdf' is not a format of reports; accepted are" in capsys.readouterr().err


def test_a_recording_gives_the_same_figures(tmp_path: Path) -> None:
    saved = slo.record(SPECS, source(), tmp_path / "r.parquet", start="4d")
    assert isinstance(saved, Recording) and len(saved.all().series) == 6
    for name, spec in SPECS.items():
        mine, theirs = slo.evaluate(spec, saved).to_dict(), slo.evaluate(spec, source()).to_dict()
        assert {**mine, "source": ""} == {**theirs, "source": ""}, name
    some = slo.record(
        [SPECS["shop/quiet"]], source(), tmp_path / "s.parquet", start=moment(END - HOUR), end=END - MINUTE
    )
    assert (some.header.start_ms, some.header.end_ms) == (END - HOUR, END - MINUTE)
    assert {series.labels["__name__"] for series in some.all().series} == {"q_total", "t_total"}
    with pytest.raises(slo.SourceError, match=r"the start, .* is not before the end"):
        slo.record(SPECS, source(), tmp_path / "n.parquet", start=END + DAY)


# Names


def test_every_public_name_is_there_with_a_docstring() -> None:
    assert sorted(slo.__all__) == dir(slo)
    for name in slo.__all__:
        value = getattr(slo, name)
        assert inspect.getdoc(value), name
        if inspect.isfunction(value):
            undocumented = value.__doc__ or ""
            assert undocumented.strip()[0].isupper() and "." in undocumented, name
    errors = {
        name
        for name in slo.__all__
        if isinstance(getattr(slo, name), type) and issubclass(getattr(slo, name), Exception)
    }
    import slo.errors as tree

    assert errors == {
        name for name, value in vars(tree).items() if isinstance(value, type) and issubclass(value, Exception)
    }
    with pytest.raises(AttributeError, match="module 'slo' has no attribute 'evaluat'"):
        getattr(slo, "evaluat")  # noqa: B009


@pytest.mark.parametrize("name", ["report", "review", "rules"])
def test_a_room_that_is_a_function_too_is_both_whatever_was_imported_before(name: str) -> None:
    """In a fresh Python: called first, and called after its room was imported."""
    check = f"import slo; import slo.{name}; assert callable(slo.{name}) and slo.{name}.__name__ == 'slo.{name}'"
    first = f"import slo; assert callable(slo.{name}); from slo.{name} import {name}; import inspect; assert inspect.signature(slo.{name}) == inspect.signature({name})"
    for text in (check, first):
        subprocess.run([sys.executable, "-c", text], check=True, cwd=ROOT)
    assert isinstance(getattr(slo, name), ModuleType)


def test_importing_is_quick_and_loads_nothing_heavy() -> None:
    text = "import slo, sys; print([name for name in ('numpy', 'pandas', 'matplotlib', 'pydantic') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", text], cwd=ROOT, text=True).strip() == "[]"


# Notebooks


def test_a_plot_is_drawn_on_the_axes_that_are_given() -> None:
    from matplotlib.figure import Figure

    budget = slo.evaluate(SPECS["shop/errors"], source())
    left, right = Figure().subplots(1, 2)
    assert slo.plot(budget, ax=left) is left and slo.plot(budget, "error_ratio", ax=right) is right
    assert left.get_title(loc="left") == "shop/errors: error budget remaining" and left.lines and right.lines
    spans = (f"{moment(END - HOUR):%Y-%m-%dT%H:%M:%SZ}", moment(END))
    zoomed = slo.plot(budget, "error_ratio", ax=Figure().subplots(), span=spans)
    assert zoomed.get_xlim()[0] == END - HOUR
    with pytest.raises(ValueError, match="'burndown' is not a chart; there are burn_down, error_ratio"):
        slo.plot(budget, "burndown", ax=left)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="has no latency to draw"):
        slo.plot(budget, "latency", ax=left)


def test_jupyter_shows_budgets_as_tables() -> None:
    """A real IPython shell, with nothing but `import slo`, and with the extension loaded later."""
    text = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
{how}
import slo
from tests.test_review import END, SAMPLES, SPECS
from tests.memory import Memory
budget = slo.evaluate(SPECS["shop/errors"], Memory(SAMPLES, END))
data, _ = shell.display_formatter.format(budget)
assert data["text/html"].startswith("<table><caption>shop/errors</caption>"), data
assert data["text/plain"].startswith("<Budget shop/errors 99%"), data
"""
    done = subprocess.run(
        [sys.executable, "-c", text.format(how="")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    budget = slo.evaluate(SPECS["shop/errors"], source())
    assert "<script" not in to_html(budget) and not hasattr(budget, "_repr_html_") and not hasattr(budget, "plot")

    class Formatter:
        """As IPython's."""

        def __init__(self) -> None:
            self.shown: dict[type, Any] = {}

        def for_type(self, kind: type, how: Any) -> None:
            self.shown[kind] = how

    class Shell:
        """As IPython's."""

        class display_formatter:  # noqa: N801 - IPython's name
            formatters: ClassVar = {"text/html": Formatter()}

    slo.load_ipython_extension(Shell)
    assert Shell.display_formatter.formatters["text/html"].shown[slo.Budget] is to_html
