"""What an SLO's tiles count, as a short text: another one where other events are counted, or others belong to a tile.

It is on `slo_info`, which is recorded with each tile, so that whoever adds tiles up knows what each of them counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from functools import lru_cache

from slo.errors import PromqlError
from slo.promql.ast import Node, VectorSelector, transform
from slo.promql.parse import parse
from slo.reading import WINDOW_VARIABLE
from slo.sli.base import Sli
from slo.spec.model import Slo

# Raised when the rules count otherwise what is defined alike, so that old and new tiles are not one history.
COUNTING_VERSION = 1
# Stands for `$window` while an expression is parsed.
_MARK = "86399989ms"
# Names that a kind has of others, which may be renamed without counting otherwise.
_NAMES = frozenset({"of_name"})


def fingerprint(slo: Slo) -> str:
    """A letter and fifteen hexadecimal digits: the SLI, the labels of targets and of budgets, how late and how often it is scraped.

    Objective, window, names, labels, texts and alerts do not change it; neither does the order of matchers.
    """
    return _of(slo.sli, slo.target_labels, slo.by, slo.scrape_interval_ms, slo.delay_ms)


@lru_cache(1024)  # many SLOs of one form are printed from one, with what stands in for the selectors
def _of(sli: Sli, target: tuple[str, ...], by: tuple[str, ...], scrape_ms: int, delay_ms: int) -> str:
    *job, instance = target or ("",)
    text = json.dumps(
        {
            "version": COUNTING_VERSION,
            "sli": _plain(sli),
            "target": [sorted(set(job)), instance],
            "by": sorted(by),
            "scrape_ms": scrape_ms,
            "delay_ms": delay_ms,
        },
        sort_keys=True,
        ensure_ascii=False,
    )
    # A letter first: YAML reads some digits as numbers, which would have to be quoted.
    return f"f{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:15]}"


def _plain(value: object) -> object:
    """As JSON: the same for what counts the same."""
    if isinstance(value, Node):
        return str(_sorted(value) if isinstance(value, VectorSelector) else transform(value, _sorted))
    if isinstance(value, Sli):
        own = {item.name: _plain(getattr(value, item.name)) for item in fields(value) if item.name not in _NAMES}
        return {"kind": type(value).__name__, **own}
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, str):
        return _expression(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _expression(text: str) -> str:
    """An expression without what its writing adds, such as spaces; any other text as it is."""
    if text.isidentifier():
        return text
    try:
        return str(transform(parse(text.replace(WINDOW_VARIABLE, _MARK)), _sorted))
    except PromqlError:
        return text


def _sorted(node: Node) -> Node:
    if not isinstance(node, VectorSelector):
        return node
    matchers = sorted(dict.fromkeys(node.matchers), key=lambda matcher: (matcher.label, matcher.op, matcher.value))
    return replace(node, matchers=tuple(matchers))
