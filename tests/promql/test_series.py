"""How many series an expression can give: by hand, and against what the engine gives for random expressions."""

from __future__ import annotations

import random
from contextlib import suppress

import numpy as np
import pytest

from slo.errors import PromqlError
from slo.promql import Engine
from slo.promql.parse import parse
from slo.promql.series import Cardinality, cardinality, grouped_by, series_labels
from slo.promql.types import value_type
from tests.promql.grammar import BASE, Grammar, samples, series

KNOWN: list[tuple[str, Cardinality]] = [
    ("1 + time()", "scalar"),
    ('"text"', "scalar"),
    ("scalar(x)", "scalar"),
    ("vector(1)", "one"),
    ("hour()", "one"),
    ("x", "many"),
    ("increase(x[5m])", "many"),
    ("topk(1, x)", "many"),
    ("sum(x)", "one"),
    ("sum(increase(x[5m])) * 60", "one"),
    ("sum by (route) (x)", ("route",)),
    ("sum without (instance) (x)", "many"),
    ("sum without (route) (sum by (route, job) (x))", ("job",)),
    ("sum by (route) (sum(x))", "one"),
    ("max_over_time(sum(x)[5m:1m])", "one"),
    ("-sum(x)", "one"),
    ("sum(x) / sum(y)", "one"),
    ("sum(x) or vector(0)", "one"),
    ("sum(x) or y", "many"),
    ("sum by (a) (x) or on () vector(0)", ("a",)),
    ("x and sum(y)", "many"),
    ("x / sum(y)", "one"),  # without `on`, labels must be equal, so only a series without labels is left
    ("x / on () group_left () sum(y)", "many"),
    ("sum by (a, b) (x) / on (a) group_left (c) sum by (a, c) (y)", ("a", "b", "c")),
    ("sum by (a, b) (x) / ignoring (b) sum by (a) (y)", ("a",)),
    ("x / on (a) y", ("a",)),
    ("histogram_quantile(0.9, sum by (le) (x_bucket))", "one"),
    ("histogram_quantile(0.9, sum by (le, job) (x_bucket))", ("job",)),
    ('label_replace(sum(x), "a", "b", "", "")', ("a",)),
    ('count_values("v", sum(x))', ("v",)),
    ("absent(x)", "one"),
    ('absent(x{job="a"})', ("job",)),
    ("absent(sum(x))", "one"),
]


@pytest.mark.parametrize(("text", "expected"), KNOWN)
def test_cardinality(text: str, expected: Cardinality) -> None:
    assert cardinality(parse(text)) == expected


def test_grouped_by_asks_for_exactly_these_labels() -> None:
    node = parse("sum by (route, job) (x)")
    assert grouped_by(node, ["job", "route"])
    assert not grouped_by(node, ["route"])
    assert not grouped_by(node, ["route", "job", "code"])
    assert grouped_by(parse("sum(x)"), [])
    assert not grouped_by(parse("1"), [])
    assert not grouped_by(parse("x"), ["route"])


def test_no_series_of_random_expressions_has_a_label_that_was_not_foreseen() -> None:
    """The engine answers as a server does (test_differential), and does not know of this."""
    rng = random.Random(11)
    engine = Engine(samples(series(3)), delayed_name_removal=False)
    bounded = 0
    for _ in range(4_000):
        text = Grammar(rng, True).vector(rng.choice([1, 2, 2, 3]))
        node = parse(text)
        labels = series_labels(node)
        if labels is None or value_type(node) != "vector":
            continue
        with suppress(PromqlError), np.errstate(all="ignore"):
            rows = engine.query(node, at=BASE / 1000 + 3000 + rng.randrange(600)).series
            bounded += bool(rows)
            assert all(set(row.labels) <= labels for row in rows), text
            assert len(rows) <= 1 or labels, text
    assert bounded > 400
