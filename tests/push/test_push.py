"""Rules reach a ruler: only what changed, nothing of others, and a push that failed half way is gone on with."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slo.cli import run
from slo.errors import ConfigError, SourceError
from slo.push import Plan, Ruler, plan
from slo.rules import compile_specs
from slo.rules.document import group_document, same_group
from slo.rules.format import to_yaml
from slo.source.config import SourceConfig
from slo.source.http import RetryPolicy
from slo.spec.load import load
from tests.fuzz.test_fuzz import bounded
from tests.push.ruler import FakeRuler
from tests.quick_yaml import read_yaml
from tests.shell import run as slo
from tests.source.hostile import Hostile, reply
from tests.source.shapes import documents

ROOT = Path(__file__).parent.parent.parent
SHOP = """\
service: shop
slos:
  - name: errors
    objective: {objective}
    sli: {{ratio: {{errors: 'r_total{{code=~"5.."}}', total: r_total}}}}
  - name: search
    objective: 99
    sli: {{ratio: {{errors: 's_total{{code=~"5.."}}', total: s_total}}}}
"""
QUICK = RetryPolicy(connect_s=2.0, backoff_s=0.001)


def shop(folder: Path, objective: str = "99", name: str = "shop") -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(SHOP.format(objective=objective).replace("service: shop", f"service: {name}"))
    return file


def test_documents_are_what_the_rules_file_holds() -> None:
    """The same rules by both ways of writing them."""
    specs = load(ROOT / "definitions" / "hitl-api.yaml")
    groups = compile_specs(specs)[0]
    there = read_yaml(to_yaml(groups, flat=True))["groups"]
    assert there == [group_document(group) for group in groups]
    # Broken over lines they do the same, and are not sent again.
    pretty = read_yaml(to_yaml(groups[:4]))["groups"]
    assert all(map(same_group, pretty, there))


@pytest.mark.parametrize(
    ("key", "there", "same"),
    [
        ("interval", "60s", True), ("interval", "1m0s", True), ("interval", "2m", False), ("limit", 0, True), ("limit", 3, False),
        ("source_tenants", [], True), ("rules", [{"record": "a:b", "expr": "sum( up )"}], True),
        ("rules", [{"record": "a:b", "expr": "sum(up)", "for": "0s", "labels": {}}], True),
        ("rules", [{"record": "a:b", "expr": "sum(down)"}], False), ("rules", [], False), ("rules", None, False),
    ],
)  # fmt: skip
def test_what_a_server_writes_in_its_own_way_is_the_same(key: str, there: object, same: bool) -> None:
    group = {"name": "g", "interval": "1m", "rules": [{"record": "a:b", "expr": "sum(up)"}]}
    assert same_group({**group, key: there}, group) is same


def test_only_what_changed_is_sent(tmp_path: Path) -> None:
    file = shop(tmp_path)
    with FakeRuler() as ruler:
        done = slo("rules", file, "--push", ruler.url + "/prometheus")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        rules = slo("rules", file, "--flat").stdout
        assert list(ruler.groups().values()) == read_yaml(rules)["groups"]
        first = len(ruler.groups())
        assert len(ruler.writes) == first and f"{first} added, 0 replaced, 0 deleted, 0 unchanged" in done.stderr

        ruler.requests.clear()
        assert slo("rules", file, "--push", ruler.url + "/prometheus").returncode == 0
        assert ruler.writes == []

        shop(tmp_path, "99.5")  # of one SLO
        would = slo("rules", file, "--push", ruler.url, "--dry-run")
        assert ruler.writes == [] and would.returncode == 0
        assert would.stdout and all(line.startswith("replace slo/shop/errors/") for line in would.stdout.splitlines())
        assert "would be replaced" in would.stderr
        ruler.requests.clear()
        assert slo("rules", file, "--push", ruler.url).returncode == 0
        assert len(ruler.writes) == len(would.stdout.splitlines()) < first

        file.write_text(file.read_text().partition("  - name: search")[0])
        ruler.requests.clear()
        done = slo("rules", file, "--push", ruler.url)
        assert {method for method, _ in ruler.writes} == {"DELETE"} and done.returncode == 0
        assert {name.split("/")[2] for name in ruler.groups()} == {"errors"}


def test_groups_of_others_are_never_touched(tmp_path: Path) -> None:
    """In our namespace by another name, in another namespace, and of another service."""
    file, other = shop(tmp_path), shop(tmp_path, name="billing")
    theirs = {"name": "cpu", "interval": "1m", "rules": [{"record": "a:b", "expr": "up"}]}
    with FakeRuler() as ruler:
        assert slo("rules", other, "--push", ruler.url).returncode == 0
        ruler.tenants["anonymous"]["slo"]["cpu"] = theirs
        ruler.tenants["anonymous"]["infra"] = {"slo/shop/gone": {**theirs, "name": "slo/shop/gone"}}
        before = {name for name in ruler.groups() if "billing" in name}
        done = slo("rules", file, "--push", ruler.url)
        assert done.returncode == 0
        assert f"{len(before)} groups of billing, which is not in these definitions: left as they are" in done.stderr
        assert before < set(ruler.groups()) and ruler.groups()["cpu"] == theirs
        done = slo("rules", file, "--push", ruler.url, "--prune")
        assert {name for name in ruler.groups() if "billing" in name} == set()
        assert ruler.groups()["cpu"] == theirs and list(ruler.groups("infra")) == ["slo/shop/gone"]


def test_tenants_are_apart_and_a_missing_one_is_said(tmp_path: Path) -> None:
    file = shop(tmp_path)
    with FakeRuler(multi_tenant=True) as ruler:
        done = slo("rules", file, "--push", ruler.url)
        assert done.returncode == 2 and "name yours with --tenant" in done.stderr
        assert slo("rules", file, "--push", ruler.url, "--tenant", "team-a", "--namespace", "x").returncode == 0
        assert set(ruler.tenants) == {"team-a"} and set(ruler.tenants["team-a"]) == {"x"}
        for name in ("..", "a\nb", "x" * 201):
            done = slo("rules", file, "--push", ruler.url, "--namespace", name)
            assert done.returncode == 2 and "is not a namespace of a ruler" in done.stderr
        done = slo("rules", file, "--push", ruler.url, "--tenant", "a|b")
        assert done.returncode == 2 and "is not a valid tenant" in done.stderr


def test_credentials_are_those_of_sources_and_never_shown(tmp_path: Path) -> None:
    file, secret = shop(tmp_path), "tok-83hf8fh3"
    with FakeRuler(token=secret) as ruler:
        done = slo("rules", file, "--push", ruler.url)
        assert done.returncode == 2 and "SLO_BEARER_TOKEN" in done.stderr
        assert slo("rules", file, "--push", ruler.url, env={"SLO_BEARER_TOKEN": secret}).returncode == 0
        ruler.trouble = lambda *_: (400, f"you sent {secret}\n")
        done = slo("rules", file, "--push", ruler.url, env={"SLO_BEARER_TOKEN": secret})
        assert done.returncode == 2 and secret not in done.stderr and "you sent …" in done.stderr


@pytest.mark.parametrize("place", ["/prometheus/config/v1/rules", "/config/v1/rules", "/api/v1/rules"])
def test_the_api_is_found_from_the_servers_address(place: str) -> None:
    with FakeRuler(place) as ruler:
        assert opened(ruler).groups("slo") == []
        exact = Ruler(ruler.url + place, SourceConfig(), QUICK)
        assert exact.groups("slo") == [] and ruler.requests[-1] == ("GET", f"{place}/slo")


def test_other_servers_are_recognised() -> None:
    with FakeRuler(trouble=lambda *_: (200, '{"status":"success","data":{"groups":[]}}')) as ruler:
        with pytest.raises(SourceError, match="it answers as a Prometheus, which takes no rules by its API"):
            opened(ruler).groups("slo")
        ruler.trouble = lambda *_: (200, "<html>hello</html>")
        with pytest.raises(SourceError, match="not a list of rule groups"):
            opened(ruler).groups("slo")
        ruler.trouble = lambda *_: (404, "404 page not found")
        with pytest.raises(SourceError, match="no ruler API at this address"):
            opened(ruler).groups("slo")
        ruler.trouble = lambda *_: (302, "")
        with pytest.raises(SourceError, match="it redirects, which is not followed"):
            opened(ruler).groups("slo")


def opened(ruler: FakeRuler) -> Ruler:
    return Ruler(ruler.url, SourceConfig(timeout_s=5.0), QUICK)


def wanted(count: int, expr: str = "up") -> list[dict[str, Any]]:
    return [
        {"name": f"slo/shop/{n}", "interval": "1m", "rules": [{"record": "a:b", "expr": expr, "labels": {"service": "shop"}}]}
        for n in range(count)
    ]  # fmt: skip


def push(ruler: FakeRuler, groups: list[dict[str, Any]]) -> Plan:
    client = opened(ruler)
    changes = plan(groups, client.groups("slo"), ["shop"])
    client.apply(changes, "slo")
    return changes


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_is_tried_again(status: int) -> None:
    with FakeRuler(trouble=lambda method, path, number: status if number in (0, 3) else None) as ruler:
        push(ruler, wanted(3))
        assert len(ruler.groups()) == 3


@pytest.mark.parametrize("status", [400, 429, 500])
@pytest.mark.parametrize("after", range(6))
def test_a_push_that_failed_half_way_is_gone_on_with(status: int, after: int) -> None:
    """At whichever write it fails, nothing is lost, what was there works on, and the next run does only the rest."""
    old, new = wanted(5, "old"), [*wanted(3, "new"), *wanted(8)[6:]]  # three replaced, two added, two deleted
    with FakeRuler() as ruler:
        push(ruler, old)
        begun = len(ruler.writes)

        def trouble(method: str, path: str, number: int) -> int | None:
            return status if method != "GET" and len(ruler.writes) - begun > after else None

        ruler.trouble = trouble
        with pytest.raises(SourceError, match=rf"{min(after, 5)} of 5 changed groups were sent and {max(0, after - 5)} of 2 deleted"):  # fmt: skip
            push(ruler, new)
        there = set(ruler.groups())
        assert {group["name"] for group in old[:3]} <= there
        assert after > 5 or {group["name"] for group in old} <= there  # nothing deleted before all was sent
        ruler.trouble = lambda *_: None
        begun = len(ruler.writes)
        push(ruler, new)
        assert len(ruler.writes) - begun == 7 - after
        assert {name: group["rules"] for name, group in ruler.groups().items()} == {
            group["name"]: group["rules"] for group in new
        }


def test_room_is_made_where_a_tenant_is_full() -> None:
    """Groups are deleted first only where the limit asks for it."""
    with FakeRuler(most_groups=5) as ruler:
        push(ruler, wanted(5))
        changes = push(ruler, wanted(9)[4:])
        assert len(changes.added) == len(changes.deleted) == 4
        assert set(ruler.groups()) == {group["name"] for group in wanted(9)[4:]}


def test_limits_of_a_tenant_are_said_with_what_to_do() -> None:
    with FakeRuler(most_groups=2, most_rules=1) as ruler:
        with pytest.raises(SourceError, match=r"limit: 2 actual: 3.*--max-groups N.*ruler_max_rule_groups_per_tenant"):
            push(ruler, wanted(3))
        long = [{**wanted(1)[0], "rules": wanted(1)[0]["rules"] * 2}]
        with pytest.raises(SourceError, match=r"limit: 1 actual: 2.*ruler_max_rules_per_rule_group"):
            push(ruler, long)


def test_a_group_that_would_be_replaced_and_holds_others_is_refused() -> None:
    there = [{"name": "slo/packed/1m/1", "rules": [{"labels": {"service": name}} for name in ("shop", "billing")]}]
    want = [{"name": "slo/packed/1m/1", "rules": [{"labels": {"service": "shop"}}]}]
    with pytest.raises(ConfigError, match="also holds rules of billing"):
        plan(want, there, ["shop"])
    assert list(plan(want, there, ["shop"], prune=True).replaced) == ["slo/packed/1m/1"]


@pytest.mark.parametrize(
    "flags", [["--push", "http://h", "-o", "x"], ["--push", "http://h", "--split"], ["--dry-run"], ["--tenant", "a"]]
)
def test_flags_that_do_not_go_together(tmp_path: Path, flags: list[str]) -> None:
    done = slo("rules", shop(tmp_path), *flags)
    assert done.returncode == 2 and ("leave -" in done.stderr or "go with --push" in done.stderr)


ODD_ANSWERS = ["", "~", "5", "x", "[]", "{}", "slo: 5", "slo: []", "slo: [5]", "slo: [{}]", "slo: [{name: 5}]", "slo: [{name: slo/shop/a, rules: 5}]",
        "slo: [{name: slo/shop/a, rules: [5, {labels: 5}, {labels: {slo_service: []}}]}]", "a: &a [*a]", "&a {slo: [*a]}", "slo: [{name: [x]}]", "2026-99-99", "slo: 2026-99-99",
        "!!python/object:os.system x", "? [a]\n: b", "{" * 3000, "[" * 60 + "]" * 60, "9" * 5000, "\x00", "slo: [{name: slo/shop/x, interval: 5, rules: [{expr: [], for: {}, record: 1e999}]}]",
        "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{b}: &{b} [" + ",".join([f"*{a}"] * 9) + "]\n" for a, b in pairwise("abcdefgh")) + "slo: [{name: *h}]"]  # fmt: skip
LISTED = st.one_of(
    st.sampled_from(ODD_ANSWERS),
    documents.map(lambda document: json.dumps(document, default=str)),
    documents.map(lambda document: json.dumps({"slo": document}, default=str)),
    st.lists(st.fixed_dictionaries({"name": st.sampled_from(["slo/shop/a", "other", ""]), "rules": documents})).map(
        lambda groups: json.dumps({"slo": groups}, default=str)
    ),
)
# Whether it answers the first question well, and what it says then.
STATUSES = st.sampled_from([200, 200, 200, 202, 204, 301, 400, 404, 429, 500])


@given(listed=LISTED, status=STATUSES, then=STATUSES)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_ruler_that_answers_in_any_shape_ends_in_a_message(
    tmp_path: Path, listed: str, status: int, then: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    """With 0 or 2, in bounded time and memory, and never with 3; a dry run sends nothing."""
    monkeypatch.setattr("slo.source.http.time.sleep", lambda _: None)
    monkeypatch.setenv("SLO_TIMEOUT", "2s")
    file = shop(tmp_path)
    body = listed.encode("utf-8", errors="replace")
    with Hostile(lambda request, _: reply(status if request.method == "GET" else then, body)) as server:
        for more in (["--dry-run"], []):
            with bounded():
                code = run(["rules", str(file), "--push", server.url, *more])
            said = capsys.readouterr()
            assert code in (0, 2) and "Traceback" not in said.err, said.err
            assert code == 0 or server.url in said.err or "definitions" in said.err, said.err
            if more:
                assert {request.method for request in server.requests} <= {"GET"}


def test_odd_lists_of_groups_are_read_or_refused(tmp_path: Path) -> None:
    wanted = [group_document(group) for group in compile_specs(load(shop(tmp_path)))[0]]
    for text in ODD_ANSWERS:
        with Hostile([reply(200, text.encode("utf-8", errors="replace"))]) as server, bounded():
            ruler = Ruler(server.url, SourceConfig(timeout_s=5.0), QUICK)
            assert plan(wanted, ruler.groups("slo"), ["shop"]).added
