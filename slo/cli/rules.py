"""`slo rules`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from slo.cli.inputs import load, read_pair
from slo.cli.output import count, say
from slo.cli.program import FINE, Paths, command
from slo.errors import ConfigError


class RulesFormat(StrEnum):
    """What rules can be written as."""

    PROMETHEUS = "prometheus"
    OPERATOR = "operator"


class RulesNames(StrEnum):
    """Whose names the recorded series have."""

    OWN = "slo"
    SLOTH = "sloth"


@command("slo rules definitions/ -o rules.yml --tests rules-test.yml")
def rules(
    paths: Paths,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write, with --split the folder. [default: standard output]",
        ),
    ] = None,
    form: Annotated[
        RulesFormat,
        typer.Option("--format", help="A rules file (Prometheus, Mimir, Thanos, vmalert), or a PrometheusRule."),
    ] = RulesFormat.PROMETHEUS,
    names: Annotated[
        RulesNames, typer.Option("--names", help="The names of recorded series and labels: our own or Sloth's.")
    ] = RulesNames.OWN,
    split: Annotated[bool, typer.Option("--split", help="One file per service.")] = False,
    namespace: Annotated[
        str | None, typer.Option("--namespace", metavar="NAME", help="The PrometheusRule's namespace.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="NAME=VALUE", help="A label of the PrometheusRule, name=value; may be repeated."
        ),
    ] = None,
    tests: Annotated[
        Path | None,
        typer.Option("--tests", metavar="FILE", help="Also write `promtool test rules` files that prove each alert."),
    ] = None,
    backfill: Annotated[
        Path | None,
        typer.Option(
            "--backfill-script", metavar="FILE", help="Also write a script that fills the history of what is recorded."
        ),
    ] = None,
    backfill_days: Annotated[
        int, typer.Option("--backfill-days", metavar="DAYS", help="How many days the script fills.", min=1)
    ] = 35,
) -> int:
    """Compile definitions into Prometheus recording and alert rules."""
    from slo.files import write_text
    from slo.rules import NAMES, backfill_script, compile_specs, passes, rule_tests, to_prometheus_rule, to_yaml

    if (tests or backfill or split) and output is None:
        raise ConfigError("--split, --tests and --backfill-script need --output")
    if (tests or backfill) and form is RulesFormat.OPERATOR:
        raise ConfigError("--tests and --backfill-script need a rules file; leave --format operator out")
    labels = dict(read_pair(text) for text in label or ())
    specs = load(paths)
    groups, problems = compile_specs(specs, NAMES[names.value])
    for problem in problems:
        say(str(problem))
    inputs = {service.file: service.name for service in specs.services}

    def text_of(chosen: Sequence[Any], files: Sequence[str], name: str) -> str:
        if form is RulesFormat.OPERATOR:
            return to_prometheus_rule(chosen, name, namespace, labels, files)
        return to_yaml(chosen, files)

    texts: dict[Path, str] = {}
    if output is not None and split:
        for name in dict.fromkeys(inputs.values()):
            files = [file for file, service in inputs.items() if service == name]
            texts[output / f"{name}.yml"] = text_of([group for group in groups if group.service == name], files, name)
    else:
        services = list(dict.fromkeys(inputs.values()))
        whole = text_of(groups, list(inputs), services[0] if len(services) == 1 else "slo-rules")
        if output is None:
            sys.stdout.write(whole)
            return FINE
        texts[output] = whole
    if tests is not None:
        seen_from = [os.path.relpath(path, tests.parent) for path in texts]
        for number, (interval, text) in enumerate(rule_tests(specs, seen_from, NAMES[names.value]).items()):
            texts[tests if number == 0 else tests.with_stem(f"{tests.stem}-{interval}")] = text
    if backfill is not None:
        files = []
        for number, part in enumerate(passes(groups), 1):
            place = backfill.with_name(f"{backfill.stem}-pass{number}.yml")
            texts[place] = to_yaml(part, list(inputs))
            files.append(place.name)
        texts[backfill] = backfill_script(files, backfill_days)
    for place, text in texts.items():
        write_text(place, text)
    total = sum(len(group.rules) for group in groups)
    told = f"{count(total, 'rule')} in {count(len(groups), 'group')} for {count(len(specs), 'SLO')}"
    say(f"{told}: {', '.join(map(str, texts))}")
    return FINE
