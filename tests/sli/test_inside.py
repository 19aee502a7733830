"""What matchers prove of a part and its total: within, outside, apart, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.errors import DefinitionError, SloError
from slo.promql.parse import parse_selector
from slo.promql.samples import matches
from slo.reading.inside import outside
from slo.source.simulation import simulate
from slo.spec.load import load
from slo.spec.model import Specs


def reported(part: str, total: str) -> list[tuple[str, str | None, bool]]:
    own, whole = (parse_selector(f"x_total{{{text}}}").matchers for text in (part, total))
    return [(outsider.label, outsider.value, outsider.apart) for outsider in outside(own, whole)]


@pytest.mark.parametrize(
    ("part", "total"),
    [
        ('code=~"2.."', ""),
        ('code=~"2.."', 'code=~"2.."'),
        ('code=~"2..",code!~"2.4"', 'code!~"2.4"'),
        ('code="200"', 'code=~"2..|3.."'),
        ('code=~"200|204"', 'code=~"2.."'),
        ('code="500"', 'code!="404"'),
        ('code=~"5.."', 'code=~"2..|5.."'),  # nothing is known of patterns in general, and nothing said
        ('code=~"5.."', 'code=~"[0-9]+"'),
        ('code=~"5.."', 'code!="404"'),
        ('code!~"2.."', 'code=~".+"'),
        ('code!~"2.."', 'code=~".*"'),
        ('code=~"5.."', 'code!~"4..|3.."'),
        ('route="/a"', 'job="b"'),  # of a label that the part has not, another warning is said
    ],
)
def test_within_or_unknown_is_nothing(part: str, total: str) -> None:
    assert reported(part, total) == []


@pytest.mark.parametrize(
    ("part", "total", "label", "value"),
    [
        ('code!~"2.."', 'code=~"2..|3.."', "code", None),
        ('code!="200"', 'code=~"200|404"', "code", None),
        ('code=~"200|500"', 'code=~"2.."', "code", "500"),
        ('code!~"2.."', 'code!="404"', "code", "404"),
        ('code=~"4..|5.."', 'code!~"4.."', "code", "400"),
        ('code=~"[45].."', 'code!~"4.."', "code", "400"),
        ('code=~"5.."', 'code=~"2..|3.."', "code", "500"),
        ('a="x",code=~".+"', 'a="x",code=~"2.."', "code", "0"),
    ],
)
def test_what_lies_outside_is_named(part: str, total: str, label: str, value: str | None) -> None:
    [(reported_now, example, _)] = reported(part, total)
    assert (reported_now, example) == (label, value)


@pytest.mark.parametrize(
    ("part", "total"),
    [
        ('code="500"', 'code=~"2..|3.."'),
        ('code=~"500|503"', 'code=~"2.."'),
        ('code=~"5.."', 'code=~"200|201"'),
        ('code!~"2.."', 'code=~"2.."'),
        ('code!="200"', 'code="200"'),
        ('code=~"2.."', 'code!~"2.."'),
    ],
)
def test_what_has_nothing_in_common_is_apart(part: str, total: str) -> None:
    [(_, _, apart)] = reported(part, total)
    assert apart


PIECE = st.sampled_from(["2..", "3..", "200", "404", "5..", ".+", "2.*", "[45]..", "20[0-4]", "a|200", "200|404", ""])
MATCHERS = st.lists(st.tuples(st.sampled_from(["=", "=~", "!=", "!~"]), PIECE), min_size=1, max_size=2)
CODES = ["", "a", *map(str, range(100, 600))]


def text_of(matchers: list[tuple[str, str]]) -> str:
    return ",".join(f'code{op}"{value}"' for op, value in dict.fromkeys(matchers))


@given(MATCHERS, MATCHERS)
def test_what_is_said_is_so(part: list[tuple[str, str]], total: list[tuple[str, str]]) -> None:
    """Against all codes there are: a value that is named is the part's alone; what is apart has nothing in common."""
    own, whole = (parse_selector(f"x_total{{{text_of(selector)}}}").matchers for selector in (part, total))

    def held(code: str) -> tuple[bool, bool]:
        first, second = (all(matches(m, {"code": code}) for m in matchers) for matchers in (own, whole))
        return first, second

    for outsider in outside(own, whole):
        if outsider.apart:
            assert not any(all(held(code)) for code in CODES)
        if outsider.value is not None:
            assert held(outsider.value) == (True, False)
        assert outsider.total and set(outsider.total) <= set(whole) - set(own)


DEFINITION = "service: s\nslos:\n  - {{name: e, objective: 99, window: 1d, sli: {{ratio: {{{kind}: 'x_total{{{part}}}', total: 'x_total{{{total}}}'}}}}}}\n"


def specs_of(folder: Path, kind: str, part: str, total: str) -> Specs:
    (folder / "d.yaml").write_text(DEFINITION.format(kind=kind, part=part, total=total))
    return load(folder / "d.yaml")


def test_the_check_says_what_to_do(tmp_path: Path) -> None:
    specs = specs_of(tmp_path, "good", 'code!~"2.."', 'code=~"2..|3.."')
    [warning] = specs.warnings
    assert str(warning) == (
        f"{tmp_path}/"
        'd.yaml:3:56: warning: slos[0].sli.ratio.good: `good` may count events outside `total`: some of it is not among code=~"2..|3.."; '
        "repeat that in `good`, or take it from `total`"
    )
    with pytest.raises(DefinitionError, match="nothing of it is in the total"):
        specs_of(tmp_path, "errors", 'code="500"', 'code=~"2..|3.."')


@pytest.mark.parametrize(
    ("part", "total"),
    [('code!~"2.."', 'code=~"2..|3.."'), ('code=~"2.."', 'zone="eu"'), ('zone!="us",code="200"', 'zone=~"eu|ap"')],
)
@pytest.mark.parametrize(("kind", "word"), [("good", "good"), ("errors", "bad")])
def test_a_simulation_has_no_negative_errors(tmp_path: Path, kind: str, word: str, part: str, total: str) -> None:
    """Good events alongside all events, and bad ones, are refused by name."""
    specs = specs_of(tmp_path, kind, part, total)
    with pytest.raises(
        SloError,
        match=rf"cannot simulate s/e \(.*d\.yaml:3\): {word} events .* does not select.*; give `{kind}` the matchers of `total`",
    ):
        simulate(specs, days=0.2, seed=1, end_ms=1_790_000_000_000)
