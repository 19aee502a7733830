"""Alert policies: the definitions' own, changes to them from a YAML file, or any rules file."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from slo.backtest.scoring import is_page
from slo.errors import DefinitionError, Problem, PromqlError
from slo.fields import Model
from slo.promql.groups import Group, read_groups
from slo.reading import Fault
from slo.rules import AlertRule, compile_specs
from slo.rules.groups import engine_group
from slo.spec import yaml as strict_yaml
from slo.spec.build_alerting import build_alerting
from slo.spec.document import AlertingModel
from slo.spec.model import Service, Slo, Specs
from slo.spec.read import parse_objective, read_window
from slo.spec.single import parse_single, read_text


@dataclass(frozen=True)
class Policy:
    """Rules under a name.

    Attributes:
        name: The name.
        groups: The rules, in groups.
        severities: Which of our own burn-rate alerts are pages, by alert name and labels.
        other_alerts: Our alerts that answer no incident: that data is missing, and what is consumed of a budget.
        warnings: What is doubtful in the rules.
        pages: Labels and values of alerts that page, besides the usual ones.
    """

    name: str
    groups: tuple[Group, ...]
    severities: Mapping[tuple[str, frozenset[tuple[str, str]]], str] = field(default_factory=dict)
    other_alerts: frozenset[tuple[str, frozenset[tuple[str, str]]]] = frozenset()
    warnings: tuple[str, ...] = ()
    pages: tuple[tuple[str, str], ...] = ()


class _ChangesModel(Model):
    """Changes to definitions: what is not named stays as it is."""

    policy: Annotated[str, Field(description="its name", min_length=1, max_length=60)]
    slos: Annotated[
        list[str], Field(default_factory=lambda: ["*"], description="ids it changes, with `*`", min_length=1)
    ]
    objective: str | None = None
    window: str | None = None
    alerting: AlertingModel | None = None


def of_definitions(specs: Specs, name: str = "definitions") -> Policy:
    """The policy that the definitions hold: their burn-rate alerts and plain alerts.

    Args:
        specs: The SLOs.
        name: The policy's name.

    Returns:
        The policy.

    Raises:
        DefinitionError: An alert could never fire, or labels collide.
    """
    groups, problems = compile_specs(specs, at_once=True)
    alerts = [(group.slo, rule) for group in groups for rule in group.rules if isinstance(rule, AlertRule)]
    severities = {
        (rule.name, frozenset(rule.labels.items())): rule.burns[0].severity for _, rule in alerts if rule.burns
    }
    other_alerts = frozenset(
        (rule.name, frozenset(rule.labels.items())) for slo, rule in alerts if slo and not rule.burns
    )
    made = tuple(engine_group(group) for group in groups)
    return Policy(name, made, severities, other_alerts, tuple(map(str, problems)))


def of_rules(path: str | os.PathLike[str], pages: Sequence[tuple[str, str]] = ()) -> Policy:
    """A rules file of Prometheus, of anybody's making.

    Args:
        path: The rules file.
        pages: Labels and values (with `*`) of the alerts that page, besides the usual ones.

    Returns:
        The policy, named after the file.

    Raises:
        DefinitionError: The file is not a rules file, or holds no alert.
    """
    try:
        groups = read_groups(Path(path))
    except PromqlError as error:
        raise DefinitionError([Problem(str(path), 0, 0, "", str(error).removeprefix(f"{path}: "))]) from None
    if not any(rule.alert for group in groups for rule in group.rules):
        raise DefinitionError([Problem(str(path), 0, 0, "", "holds no alert; a rules file has groups with rules")])
    alerts = [rule for group in groups for rule in group.rules if rule.alert]
    warnings: tuple[str, ...] = ()
    if not any(is_page(dict(rule.labels), pages) for rule in alerts):
        # A policy that never pages has the fewest pages: that would win, and mean nothing.
        kinds = sorted({f"severity={dict(rule.labels).get('severity', '')}" for rule in alerts})[:5]
        warnings = (f"none of its alerts is known to page; name the label of those that do, such as --pages {kinds[0]} (there are {', '.join(kinds)})",)  # fmt: skip
    return Policy(Path(path).stem, groups, warnings=warnings, pages=tuple(pages))


def of_file(path: str | os.PathLike[str], specs: Specs) -> Policy:
    """The definitions with the changes that a policy file names.

    Args:
        path: The policy file, YAML.
        specs: The SLOs.

    Returns:
        The policy.

    Raises:
        DefinitionError: All faults of the file.
    """
    return _of_text(read_text(path), str(path), specs)


def of_mapping(content: Mapping[str, Any], specs: Specs) -> Policy:
    """The same from a mapping with a policy file's content, for notebooks. Raises DefinitionError."""
    import yaml

    return _of_text(yaml.safe_dump(dict(content), sort_keys=False), str(content.get("policy", "policy")), specs)


def _of_text(text: str, file: str, specs: Specs) -> Policy:
    what = "a policy is one mapping with `policy:` (its name)"
    model, report, problems = parse_single(text, file, _ChangesModel, what, _accepted)
    changed = _changed(model, specs, report)
    if any(problem.severity == "error" for problem in problems):
        raise DefinitionError(problems)
    try:
        return of_definitions(changed, model.policy)
    except DefinitionError as error:
        raise DefinitionError(
            [replace(problem, file=f"{file} with {problem.file}") for problem in error.problems]
        ) from None


def _accepted(path: strict_yaml.Path) -> list[str]:
    from slo.spec.document import accepted_keys

    return list(_ChangesModel.model_fields) if not path else accepted_keys(("defaults", *path))


def _changed(model: _ChangesModel, specs: Specs, report: Any) -> Specs:
    objective = None
    if model.objective is not None:
        try:
            objective = parse_objective(model.objective)
        except ValueError as error:
            report(("objective",), str(error), "error")
    window = None if model.window is None else read_window(model.window, ("window",), report)
    for index, pattern in enumerate(model.slos):
        if not any(fnmatch.fnmatchcase(name, pattern) for name in specs):
            report(("slos", index), f"{pattern!r} is the id of no SLO; they are {', '.join(list(specs)[:5])}…", "error")

    def change(slo: Slo) -> Slo:
        if not any(fnmatch.fnmatchcase(slo.id, pattern) for pattern in model.slos):
            return slo
        new = replace(slo, objective=objective or slo.objective, window=window or slo.window)
        if model.alerting is None:
            return new

        def named(at: strict_yaml.Path, message: str, severity: str) -> None:
            report(at, f"for {slo.id} {message}", severity)

        try:
            own = build_alerting(((("alerting",), model.alerting),), new.objective, new.window, named)
        except Fault:
            return slo
        old = slo.alerting
        return replace(
            new,
            alerting=replace(
                own,
                page=replace(own.page, labels={**old.page.labels, **own.page.labels}, annotations=old.page.annotations),
                ticket=replace(
                    own.ticket, labels={**old.ticket.labels, **own.ticket.labels}, annotations=old.ticket.annotations
                ),
                absent=old.absent,
                budget=old.budget,
            ),
        )

    services: list[Service] = []
    for service in specs.services:
        services.append(replace(service, slos=tuple(change(slo) for slo in service.slos)))
    return Specs(services)


def distinct(policies: Sequence[Policy]) -> tuple[Policy, ...]:
    """The same, numbered where two have one name."""
    seen: dict[str, int] = {}
    result = []
    for policy in policies:
        seen[policy.name] = seen.get(policy.name, 0) + 1
        number = seen[policy.name]
        result.append(policy if number == 1 else replace(policy, name=f"{policy.name} ({number})"))
    return tuple(result)
