"""Names and labels of Kubernetes objects: what a cluster refuses is refused before a file is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.cli import run
from slo.errors import ConfigError
from slo.rules import to_prometheus_rule
from slo.rules.resource import check_object_names, label_of, namespace_of, object_name
from tests.quick_yaml import read_yaml

DEFINITION = "service: {name}\nslos:\n  - {{name: errors, objective: 99, sli: {{ratio: {{errors: 'x_total{{code=\"5\"}}', total: x_total}}}}}}\n"
# As RFC 1123 and Kubernetes' own messages have it.
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@pytest.mark.parametrize("text", ["a", "monitoring", "a-1", "1", "x" * 63])
def test_names_of_namespaces(text: str) -> None:
    assert namespace_of(text) == text


@pytest.mark.parametrize("text", ["", "A", "a_b", "a.b", "-a", "a-", "a b", "a\nb: c", "a\n", "x" * 64, "ä", "²"])
def test_what_is_not_a_namespace_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--namespace .* is not a name of a Kubernetes namespace"):
        namespace_of(text)


def test_the_likely_namespace_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean `team-a`"):
        namespace_of("Team_A")


@pytest.mark.parametrize(
    ("name", "value"),
    [("team", "shop"), ("team", ""), ("example.com/team", "A_b.c-1"), ("T", "x" * 63), ("a" * 63, "1")],
)
def test_labels_of_objects(name: str, value: str) -> None:
    assert label_of(name, value) == (name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "a"), ("a b", "a"), ("-a", "a"), ("a" * 64, "a"), ("/a", "a"), ("A.com/a", "a"), ("a/b/c", "a"), ("a/", "b"),
        ("team", "a b"), ("team", "-"), ("team", "x" * 64), ("team", "a\n"), ("team", "ä"), ("team\n", "a"),
    ],
)  # fmt: skip
def test_what_is_not_a_label_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=r"^--label "):
        label_of(name, value)


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,98}[A-Za-z0-9])?", fullmatch=True))
def test_every_name_of_ours_has_one_that_kubernetes_takes(name: str) -> None:
    """And one that is good stays what it is."""
    shown_name = object_name(name)
    assert len(shown_name) <= 253
    assert all(len(part) <= 63 and DNS_LABEL.fullmatch(part) for part in shown_name.split("."))
    if all(len(part) <= 63 and DNS_LABEL.fullmatch(part) for part in name.split(".")) and "--" not in name:
        assert shown_name == name


def test_two_services_are_two_objects() -> None:
    check_object_names(["a", "b", "a"])
    with pytest.raises(ConfigError, match="a-b and A_B would both be the object `a-b`"):
        check_object_names(["a-b", "A_B"])


def test_the_command_writes_only_what_a_cluster_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.yaml").write_text(DEFINITION.format(name="Shop_API"))
    assert run(["rules", "d.yaml", "--format", "operator", "--namespace", "mon", "-o", "r.yaml"]) == 0
    assert read_yaml(Path("r.yaml").read_text())["metadata"] == {"name": "shop-api", "namespace": "mon"}
    Path("e.yaml").write_text(DEFINITION.format(name="shop-api"))
    for more in (["--split"], ["--namespace", "Mon"], ["--label", "a b=c"], ["--label", "a=b c"]):
        assert run(["rules", "d.yaml", "e.yaml", "--format", "operator", "-o", "out", *more]) == 2, more
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["rules", "d.yaml", "-o", "out", "--namespace", "mon"],  # it would be lost in a rules file
        ["rules", "d.yaml", "-o", "out", "--label", "a=b"],
        ["dashboard", "-o", "out", "--namespace", "mon"],
        ["dashboard", "-o", "out", "--format", "configmap", "--namespace", "A B"],
        ["init", "ratio", "-o", "out", "--service", "a: b\nc"],
        ["init", "ratio", "-o", "out", "--service", "x" * 101],
        ["simulate", "d.yaml", "-o", "out", "--seed", "-1"],
        ["report", "d.yaml", "-s", "r.parquet", "-o", "out", "--title", "a\nb"],
        ["report", "d.yaml", "-s", "r.parquet", "-o", "out", "--title", " "],
    ],
)
def test_options_that_are_written_into_files_are_checked(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.yaml").write_text(DEFINITION.format(name="shop"))
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert next(text for text in reversed(arguments) if text.startswith("--") and text != "--format") in said, said
    assert not Path("out").exists()


def test_python_checks_them_too() -> None:
    for more in ({"namespace": "A"}, {"labels": {"a": "b c"}}):
        with pytest.raises(ConfigError):
            to_prometheus_rule([], "shop", **more)


TWO = """\
{{service: {name}, owner: {owner}, labels: {{tier: "{tier}"}}, slos: [{{name: errors, objective: 99, sli: {{probe: up}}}}]}}
"""


def two(tmp_path: Path, owner: str = "web") -> Path:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.yaml").write_text(TWO.format(name="a", owner=owner, tier=1))
    (tmp_path / "d" / "b.yaml").write_text(TWO.format(name="b", owner="ops", tier=2))
    return tmp_path / "d"


def test_each_service_has_labels_of_its_own(tmp_path: Path) -> None:
    flags = [
        "--format",
        "operator",
        "--split",
        "--label-from",
        "owner",
        "--label-from",
        "tier",
        "--label",
        "prometheus=k8s",
    ]
    assert run(["rules", str(two(tmp_path)), *flags, "-o", str(tmp_path / "out")]) == 0
    labels = {path.stem: read_yaml(path.read_text())["metadata"]["labels"] for path in (tmp_path / "out").iterdir()}
    assert labels == {
        "a": {"owner": "web", "tier": "1", "prometheus": "k8s"},
        "b": {"owner": "ops", "tier": "2", "prometheus": "k8s"},
    }


@pytest.mark.parametrize(
    ("flags", "owner", "message"),
    [
        (["--split", "--label-from", "ownr"], "web", "the service a"),
        (["--split", "--label-from", "owner"], "team web!", "the label of a owner='team web!' is not a value of a Kubernetes label"),
        (["--label-from", "owner"], "web", "add --format operator and --split"),
    ],
)  # fmt: skip
def test_labels_that_a_service_lacks_or_kubernetes_refuses_are_said(
    flags: list[str], owner: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["rules", str(two(tmp_path, owner)), "--format", "operator", *flags, "-o", str(tmp_path / "out")]
    assert run(command) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
