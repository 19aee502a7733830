"""`slo rules`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slo.cli.inputs import keep_apart, load, read_pair
from slo.cli.output import count, progress, say
from slo.cli.program import FINE, Config, Paths, RulesNames, Shard, command
from slo.errors import ConfigError

if TYPE_CHECKING:
    from slo.rules import Names, RuleGroup
    from slo.rules.texts import Text
    from slo.spec.model import Specs


class RulesFormat(StrEnum):
    """What rules can be written as."""

    PROMETHEUS = "prometheus"
    OPERATOR = "operator"
    GMP = "gmp"
    AZURE = "azure"


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
        typer.Option(
            "--format",
            help="A rules file (Prometheus, Mimir, Thanos, vmalert, Amazon), a PrometheusRule (operator), Google's Rules (gmp), or an ARM template "
            "(azure).",
        ),
    ] = RulesFormat.PROMETHEUS,
    names: Annotated[
        RulesNames, typer.Option("--names", help="The names of recorded series and labels: our own or Sloth's.")
    ] = RulesNames.OWN,
    split: Annotated[bool, typer.Option("--split", help="One file per service.")] = False,
    max_groups: Annotated[
        int | None,
        typer.Option(
            "--max-groups",
            metavar="N",
            help="Put SLOs together in groups of up to 20 rules, where there are more groups than N.",
            min=1,
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            metavar="NAME",
            help="The PrometheusRule's namespace; with --push the ruler's. [default: slo]",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="NAME=VALUE", help="A label of the PrometheusRule, name=value; may be repeated."
        ),
    ] = None,
    label_from: Annotated[
        list[str] | None,
        typer.Option(
            "--label-from",
            metavar="NAME",
            help="Give each service's PrometheusRule a label of its definition, or `owner`; may be repeated. Needs --split.",
        ),
    ] = None,
    pretty: Annotated[
        bool | None,
        typer.Option(
            "--pretty/--flat",
            help="Break expressions over lines, or put each on one line, which makes a file a quarter smaller. "
            "[default: --pretty up to 1,000 SLOs]",
            show_default=False,
        ),
    ] = None,
    tests: Annotated[
        Path | None,
        typer.Option("--tests", metavar="FILE", help="Also write `promtool test rules` files that prove each alert."),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            "--push",
            metavar="URL",
            help="Send the groups that changed to a ruler (Mimir, Cortex) instead of writing a file.",
        ),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="NAME", help="With --push: the tenant (X-Scope-OrgID).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --push: print what would change, and change nothing.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="With --push: also delete our groups of services that are not in the definitions."
        ),
    ] = False,
    config: Config = None,
    shard: Shard = None,
) -> int:
    """Compile definitions into Prometheus recording and alert rules."""
    from slo.files import write_text
    from slo.rules import NAMES, rule_tests, rule_texts
    from slo.rules.format import MOST_READ, PAD, PAD_OF_RESOURCE, prometheus_rule, yaml_file
    from slo.rules.resource import check_object_names, label_of, labels_from, namespace_of, object_name

    if push is not None:
        for flag, given in (
            ("--output", output), ("--format", form is not RulesFormat.PROMETHEUS), ("--split", split), ("--label", label), ("--tests", tests), ("--pretty", pretty is not None),
        ):  # fmt: skip
            if given:
                raise ConfigError(f"--push sends groups and writes no file; leave {flag} out")
        specs = load(paths, shard=shard)
        asked = Pushed(push, namespace or "slo", tenant, dry_run, prune, config)
        return _push(specs, NAMES[names.value], max_groups, asked)
    if tenant is not None or dry_run or prune:
        raise ConfigError("--tenant, --dry-run and --prune go with --push URL")
    if (tests or split) and output is None:
        raise ConfigError("--split and --tests need --output")
    if tests and form is not RulesFormat.PROMETHEUS:
        raise ConfigError(f"--tests needs a rules file; leave --format {form.value} out")
    operator = form in (RulesFormat.OPERATOR, RulesFormat.GMP)
    if (label or namespace is not None) and not operator:
        raise ConfigError(
            "--namespace and --label are of a PrometheusRule; add --format operator (or gmp), or leave them out"
        )
    if label_from and not (operator and split):
        raise ConfigError("--label-from gives each service's PrometheusRule a label; add --format operator and --split")
    labels = dict(label_of(*read_pair(text)) for text in label or ())
    if namespace is not None:
        namespace_of(namespace)
    specs = load(paths, shard=shard)
    if operator and split:
        check_object_names(service.name for service in specs.services)
    own_labels = {service.name: labels | labels_from(service, label_from or ()) for service in specs.services}
    pad = PAD_OF_RESOURCE if operator else PAD
    flat = len(specs) > MOST_READ if pretty is None else not pretty
    if form in (RulesFormat.GMP, RulesFormat.AZURE):
        chosen = Managed(form, NAMES[names.value], max_groups, namespace, labels, flat)
        return _managed(specs, output, split, chosen)
    texts, problems = rule_texts(specs, NAMES[names.value], pad, flat=flat)
    if max_groups is not None:
        texts = _packed(specs, NAMES[names.value], max_groups, split, pad, flat)
    for problem in problems:
        say(str(problem))
    inputs = {service.file: service.name for service in specs.services}
    parts = (
        {name: output / f"{name}.yml" for name in (service.name for service in specs.services)}
        if output is not None and split
        else {}
    )
    named = [place for place in (*(parts.values() if split else [output]), tests) if place is not None]
    keep_apart(named, specs)
    written: list[Path] = []
    sums = [0, 0]

    def put(place: Path, text: str | Iterable[str]) -> None:
        if place not in named:
            keep_apart([*named, place], specs)
        written.append(place)
        write_text(place, text)

    def counted(chosen: Iterable[Text]) -> Iterator[str]:
        for text in chosen:
            sums[0] += text.rules
            sums[1] += text.groups
            yield text.text

    def text_of(chosen: Iterable[Text], files: Sequence[str], name: str) -> Iterator[str]:
        """The file in pieces: ten thousand SLOs have 100 MB, which are never in memory at once."""
        texts = counted(chosen)
        if not operator:
            return yaml_file(texts, files)
        return prometheus_rule(
            texts, object_name(name), namespace, own_labels.get(name, labels) if split else labels, files
        )

    if parts:
        for name, own in groupby(texts, key=lambda text: text.service):
            files = [file for file, service in inputs.items() if service == name]
            put(parts[name], text_of(own, files, name))
    else:
        services = list(dict.fromkeys(inputs.values()))
        whole = text_of(texts, list(inputs), services[0] if len(services) == 1 else "slo-rules")
        if output is None:
            sys.stdout.write("".join(whole))  # whole or not at all
            return FINE
        put(output, whole)
    if tests is not None:
        seen_from = [os.path.relpath(path, tests.parent) for path in written]
        groups = None if max_groups is None else _groups(specs, NAMES[names.value], max_groups, split)
        for number, (interval, text) in enumerate(rule_tests(specs, seen_from, NAMES[names.value], groups).items()):
            put(tests if number == 0 else tests.with_stem(f"{tests.stem}-{interval}"), text)
    made = f"{count(sums[0], 'rule')} in {count(sums[1], 'group')} for {count(len(specs), 'SLO')}"
    say(f"{made}: {', '.join(map(str, written))}")
    return FINE


@dataclass(frozen=True, slots=True)
class Managed:
    """How rules for a managed Prometheus are written."""

    form: RulesFormat
    names: Names
    max_groups: int | None
    namespace: str | None
    labels: dict[str, str]
    flat: bool


def _managed(specs: Specs, output: Path | None, split: bool, how: Managed) -> int:
    """Writes rules for a managed Prometheus, and says what its format has no field for. Raises ConfigError."""
    from slo.files import write_text
    from slo.rules import compile_specs
    from slo.rules.managed import lost
    from slo.rules.write import managed

    compiled, problems = compile_specs(specs, how.names)
    groups = compiled if how.max_groups is None else list(_groups(specs, how.names, how.max_groups, split))
    for problem in problems:
        say(str(problem))
    if message := str(lost(groups, keep_firing=how.form is RulesFormat.GMP)):
        say(message)
    suffix = "json" if how.form is RulesFormat.AZURE else "yml"
    # Packed groups of a file are of one service with --split, else of any.
    files: dict[Path | None, tuple[list[RuleGroup], list[str] | None]] = {}
    if split and output is not None:
        for name, own in groupby(groups, key=lambda group: group.service):
            files[output / f"{name}.{suffix}"] = (list(own), [name])
    else:
        files[output] = (list(groups), None)
    keep_apart([place for place in files if place is not None], specs)
    texts = {
        place: managed(how.form.value, own, specs, how.namespace, how.labels, how.flat, services)
        for place, (own, services) in files.items()
    }
    for place, text in texts.items():
        if place is None:
            sys.stdout.write(text)
            return FINE
        write_text(place, text)
    made = f"{count(sum(len(group.rules) for group in groups), 'rule')} in {count(len(groups), 'group')}"
    say(f"{made} for {count(len(specs), 'SLO')}: {', '.join(map(str, texts))}")
    return FINE


@dataclass(frozen=True, slots=True)
class Pushed:
    """What is asked of a ruler."""

    url: str
    namespace: str
    tenant: str | None
    dry_run: bool
    prune: bool
    config: Path | None


def _push(specs: Specs, names: Names, max_groups: int | None, asked: Pushed) -> int:
    """Sends what changed to a ruler, or prints it. Raises ConfigError, SourceError."""
    from slo.push import Ruler, plan
    from slo.rules import compile_specs
    from slo.rules.document import group_document

    compiled, problems = compile_specs(specs, names)
    groups = compiled if max_groups is None else list(_groups(specs, names, max_groups, split=False))
    for problem in problems:
        say(str(problem))
    ruler = Ruler.open(asked.url, asked.tenant, asked.config)
    services = [service.name for service in specs.services]
    wanted = [group_document(group) for group in groups]
    changes = plan(wanted, ruler.groups(asked.namespace), services, asked.prune)
    if asked.dry_run:
        for what, texts in (("replace", changes.replaced), ("add", changes.added), ("delete", changes.deleted)):
            for name in texts:
                print(f"{what} {name}")
    elif not changes.is_done:
        with progress("sending rules", len(changes.replaced) + len(changes.added) + len(changes.deleted)) as advance:
            ruler.apply(changes, asked.namespace, advance)
    for service, number in changes.left.items():
        say(
            f"{count(number, 'group')} of {service}, which is not in these definitions: left as they are; --prune deletes them"
        )
    would = "would be " if asked.dry_run else ""
    say(
        f"{count(len(wanted), 'group')} for {count(len(specs), 'SLO')} in {asked.namespace}: {len(changes.added)} {would}added, "
        f"{len(changes.replaced)} {would}replaced, {len(changes.deleted)} {would}deleted, {changes.same} unchanged"
    )
    ruler.close()
    return FINE


def _groups(specs: Specs, names: Names, max_groups: int, split: bool) -> Iterator[RuleGroup]:
    """The groups of all files, put together where there are more than there may be. Raises ConfigError."""
    from slo.rules import compile_specs
    from slo.rules.pack import packed

    groups = compile_specs(specs, names)[0]
    files = [list(own) for _, own in groupby(groups, key=lambda group: group.service)] if split else [groups]
    for file in packed(files, max_groups):
        yield from file


def _packed(specs: Specs, names: Names, max_groups: int, split: bool, pad: str, flat: bool) -> Iterator[Text]:
    from slo.rules.texts import group_texts

    groups = list(_groups(specs, names, max_groups, split))  # whole or not at all
    return (group_texts(group.service, group.slo, [group], pad, flat) for group in groups)
