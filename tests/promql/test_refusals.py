"""What parses and what does not, alongside a real Prometheus: one expression per line of expressions.txt, and those and random
ones with tokens lost, doubled, replaced and swapped.

`SLO_DIFFERENTIAL=20000` mutates that many; `SLO_SEED` sets the seed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from slo.errors import PromqlError
from slo.promql.parse import parse
from tests.promql.grammar import Grammar
from tests.promql.remote import EXPERIMENTAL, Real
from tests.promql.test_differential import CASES, SEED
from tests.servers import Prometheus

EXPRESSIONS = Path(__file__).with_name("expressions.txt").read_text(encoding="utf-8").splitlines()
PARTS = re.compile(r"\s+|[a-zA-Z_:][\w:]*|[0-9.]+\w*|\"[^\"]*\"|[=!]~|[=!<>]=|\[[^\]]*\]?|.", re.DOTALL)
TOKENS = [
    "sum",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "(",
    ")",
    "{",
    "}",
    "]",
    ",",
    "=",
    "=~",
    "!=",
    "!~",
    "==",
    ">",
    "<=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "atan2",
    "and",
    "or",
    "unless",
    "offset",
    "@",
    "start()",
    "end()",
    "start",
    "5m",
    "1",
    "0.5",
    '"a"',
    "`c`",
    "x",
    "job",
    "rate",
    "bool",
    "inf",
    "nan",
    ":",
    "1h30m",
    "0x1F",
    "1e3",
    ".",
    "#",
    "count_values",
    "topk",
    "time()",
    "abs",
    "!",
    "$",
    "é",
    "x:y",
    "__name__",
    "le",
    "1_000",
    "topk(",
    "rate(x[5m])",
    "[5m]",
    "[5m:]",
    '{a="b"}',
    "[5m:1m]",
    "07",
    "1y1d",
    "\\",
    "quantile",
    "on(a)",
    "by(a)",
    "group_left(c)",
]
# read by the server's lexer of durations, which skips a word there and takes what follows
ODD = re.compile(r"offset[\s+-]*nan|\[[^\]]*[^\s\]:0-9smhdwy]", re.IGNORECASE)


def refusal(expression: str) -> str:
    """Our error, empty where it parses."""
    try:
        parse(expression)
    except PromqlError as error:
        return str(error)
    return ""


def mutants(rng: random.Random, count: int) -> Iterator[str]:
    grammar = Grammar(rng, instant=True)
    for _ in range(count):
        parts = PARTS.findall(grammar.vector(rng.choice([1, 2])) if rng.random() < 0.6 else rng.choice(EXPRESSIONS))
        for _ in range(rng.choice([1, 1, 2, 3])):
            place, other = rng.randrange(len(parts) or 1), rng.randrange(len(parts) or 1)
            match rng.randrange(4) if parts else 0:
                case 0:
                    parts.insert(place, rng.choice(TOKENS))
                case 1:
                    del parts[place]
                case 2:
                    parts[place] = rng.choice(TOKENS)
                case _:
                    parts[place], parts[other] = parts[other], parts[place]
        text = rng.choice(["", " "]).join(parts)
        if text.strip() and not ODD.search(text):
            yield text


@pytest.mark.server
def test_the_same_expressions_are_refused_mostly_in_the_same_words(tmp_path: Path) -> None:
    differing, words, refused = [], [], 0
    texts = [*EXPRESSIONS, *mutants(random.Random(SEED), CASES // 2)]
    with Prometheus(tmp_path, flags=[f"--enable-feature={EXPERIMENTAL}"]) as server:
        real = Real(server.address)
        for text in texts:
            answer = real.ask("/api/v1/query", query=text, time=5)
            theirs = answer["error"] if answer.get("errorType") == "bad_data" else ""
            ours = refusal(text)
            refused += bool(ours)
            if bool(ours) != bool(theirs):
                differing.append(f"{text!r}: the server {theirs or 'parses it'}; ours: {ours or 'parses it'}")
            elif ours != theirs.removeprefix('invalid parameter "query": '):
                words.append(f"{text!r}: the server {theirs}; ours: {ours}")
    assert not differing, f"seed {SEED}\n" + "\n".join(differing[:40])
    assert len(words) <= refused * 0.04, f"seed {SEED}: {len(words)} of {refused}\n" + "\n".join(words[:40])


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_parses_prints_and_parses_again(expression: str) -> None:
    try:
        node = parse(expression)
    except PromqlError:
        return
    assert parse(str(node)) == node
