"""What parses and what does not, beside a real Prometheus: one expression per line of expressions.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from slo.errors import PromqlError
from slo.promql.parse import parse
from tests.promql.remote import EXPERIMENTAL, Real
from tests.servers import Prometheus

EXPRESSIONS = Path(__file__).with_name("expressions.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.server
def test_the_same_expressions_are_refused(tmp_path: Path) -> None:
    differing = []
    with Prometheus(tmp_path, flags=[f"--enable-feature={EXPERIMENTAL}"]) as server:
        real = Real(server.address)
        for expression in EXPRESSIONS:
            answer = real.ask("/api/v1/query", query=expression, time=5)
            try:
                ours = f"parsed as {parse(expression)}"
            except PromqlError as error:
                ours = str(error)
            if (answer.get("errorType") == "bad_data") == ours.startswith("parsed as"):
                differing.append(f"{expression!r}: the server {answer.get('error', 'parses it')}; ours: {ours}")
    assert not differing, "\n".join(differing)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_parses_prints_and_parses_again(expression: str) -> None:
    try:
        node = parse(expression)
    except PromqlError:
        return
    assert parse(str(node)) == node
