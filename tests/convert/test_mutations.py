"""Public files with keys dropped, renamed and misspelt, types changed, documents joined and text damaged: each ends as a valid
definition or a reason."""

from __future__ import annotations

import copy
import os
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from slo.convert.read import convert
from slo.convert.write import file_text
from slo.spec.load import loads
from tests.convert.test_corpus import CHART, CORPUS, HELPERS
from tests.convert.test_hostile import ODD, paths

pytestmark = pytest.mark.skipif(not CORPUS, reason="SLO_CORPUS names no folder of public definitions")
MUTATIONS = 5000 if os.environ.get("SLO_SLOW") else 150
# What people write in the place of something else, and what other tools call it.
SLIPS = [
    ("page_alert", "pageAlert"), ("pageAlert", "page_alert"), ("error_query", "errorQuery"), ("totalQuery", "total_query"),
    ("objectives", "objective"), ("objective", "objectives"), ("window", "windows"), ("target", "Target"), ("sli", "SLI"),
    ("rate(", "irate("), ("rate(", "increase("), ("sum(", "avg("), ("by (", "without ("), ("/", "*"), ("{{.window}}", "{{ .window}}"),
    ("{{.window}}", "5m"), ("{{", "{"), ("}}", "}"), ("_total", "_count"), ("le=", "le=~"), ("\n", "\r\n"), (" - ", "   - "),
    ("|-", ">-"), ('"', "'"), (": ", ":"), ("99", "0.99"), ("28d", "4w"), ("kind:", "kin:"), ("v1", "v9"), ("apiVersion", "version"),
]  # fmt: skip
DAMAGE = ["", "{", "'", "\t", "\n", ": ", "- ", "{{", "\x01", "&a ", "*a", "<<: ", "---\n"]


def mutated(text: str, other: str, choose: random.Random) -> str:
    match choose.choice(["slip", "slip", "damage", "join", "value", "value"]):
        case "slip":
            wrong, right = choose.choice(SLIPS)
            if places := [at for at in range(len(text)) if text.startswith(wrong, at)]:
                at = choose.choice(places)
                return text[:at] + right + text[at + len(wrong) :]
        case "damage":
            at = choose.randrange(len(text) + 1)
            return text[:at] + choose.choice(DAMAGE) + text[at + choose.randrange(40) :]
        case "join":
            return f"{text}\n---\n{other}"
        case "value":
            return _with_odd_value(text, choose)
    return text


def _with_odd_value(text: str, choose: random.Random) -> str:
    try:
        documents: Any = list(yaml.safe_load_all(text))
    except (yaml.YAMLError, ValueError):
        return text
    if not (places := [path for path in paths(documents) if len(path) > 1]):
        return text
    path = choose.choice(places)
    holder = documents
    for step in path[:-1]:
        holder = holder[step]
    odd = choose.choice(["missing", *ODD])
    if odd == "missing":
        del holder[path[-1]]
    else:
        holder[path[-1]] = copy.deepcopy(odd)
    return yaml.safe_dump_all(documents)


def test_a_mutation_of_a_public_file_is_a_definition_or_a_reason() -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in sorted(Path(CORPUS).rglob("*.y*ml"))}
    for seed in range(MUTATIONS):
        choose = random.Random(seed)
        name = choose.choice(sorted(files))
        text = files[name]
        for _ in range(choose.randint(1, 3)):
            text = mutated(text, files[choose.choice(sorted(files))], choose)
        result = convert({name: text, "_helpers.tpl": HELPERS}, CHART)[0]
        assert result.drafts or result.refusals, seed
        problems: list[Any] = []
        loads(file_text(result), "x.yaml", problems)
        assert not result.services or not [p for p in problems if p.severity == "error"], (seed, name, problems)
