"""Settings of a source: the environment over the file, and every mistake named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from slo.errors import ConfigError
from slo.source.config import GIB, SETTINGS, SourceConfig, load
from slo.source.http import split_url


def written(folder: Path, text: str) -> Path:
    file = folder / "slo.yaml"
    file.write_text(text)
    return file


def test_nothing_set_is_the_default() -> None:
    assert load(environ={}) == SourceConfig()
    assert SourceConfig().timeout_s == 60 and SourceConfig().max_response_bytes == GIB
    assert (SourceConfig().objective_s, SourceConfig().run_s) == (300, 3600)
    assert (SourceConfig(timeout_s=120).objective_s, SourceConfig(timeout_s=120).run_s) == (
        600,
        7200,
    )  # no call is cut short by them


def test_a_file_sets_everything(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    file = written(
        tmp_path,
        """
source:
  basic_user: 0123      # a text, as it is written
  basic_password_file: secret
  ca_cert: secret
  headers: {X-Scope-OrgID: no, X-Other: "a; b: c"}
  timeout: 2m
  timeout_objective: 90s
  timeout_run: 2h
  max_response: 512MiB
""",
    )
    secret = tmp_path / "secret"
    assert load(file, environ={}) == SourceConfig(
        basic_user="0123",
        basic_password_file=secret,
        ca_cert=secret,
        headers=(("X-Scope-OrgID", "no"), ("X-Other", "a; b: c")),
        timeout_s=120,
        timeout_objective_s=90,
        timeout_run_s=7200,
        max_response_bytes=512 << 20,
    )
    assert load(environ={"SLO_CONFIG": str(file)}) == load(file, environ={})


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "source: {bearer_token: old, timeout: 5s}")
    (tmp_path / "token").write_text("new")
    environ = {"SLO_BEARER_TOKEN_FILE": str(tmp_path / "token"), "SLO_HEADERS": "A: 1; B: 2;", "SLO_TIMEOUT": "7"}
    assert load(file, environ=environ) == SourceConfig(
        bearer_token_file=tmp_path / "token", headers=(("A", "1"), ("B", "2")), timeout_s=7
    )


def test_an_empty_file_and_an_empty_variable_set_nothing(tmp_path: Path) -> None:
    assert load(written(tmp_path, ""), environ={"SLO_TIMEOUT": ""}) == SourceConfig()
    assert load(written(tmp_path, "source:"), environ={}) == SourceConfig()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source: {bearer_tokn: x}", r"slo\.yaml: source: unknown key `bearer_tokn`; did you mean `bearer_token`\?"),
        ("sorce: {}", r"unknown key `sorce`; did you mean `source`\?"),
        ("source: [1]", "a mapping is expected"),
        ("- 1", "a mapping is expected"),
        ("source: {timeout: soon}", r"source\.timeout: its value is not a valid duration; write"),
        ("source: {timeout: 5 minutes}", r"source\.timeout: '5 minutes' is not a valid duration"),
        ("source: {timeout: 0s}", "zero"),
        ("source: {timeout_run: ever}", r"source\.timeout_run: its value is not a valid duration"),
        ("source: {max_response: many}", r"source\.max_response: a size is expected, such as 512MiB"),
        ("source: {max_response: 0}", "larger than nothing"),
        ("source: {bearer_token: [a]}", r"source\.bearer_token: a text is expected"),
        (
            "source: {bearer_token_file: none}",
            r"source\.bearer_token_file: no such file \(not named here, .*; write the path of one",
        ),
        ("source: {ca_cert: .}", "cannot be read"),
        ('source: {bearer_token: "a\\nb: c"}', "a line break"),
        ("source: {bearer_token: naïve}", "ASCII"),
        ('source: {headers: {X: "a\\r\\nY: b"}}', "a line break"),
        ("source: {headers: {'X Y': a}}", r"a header has no valid name or value; write `Name: value`"),
        ("source: {headers: {X: [a]}}", "no valid name or value"),
        ("source: {headers: {X: a, x: b}}", "header x is there twice"),
        ("source: {headers: nonsense}", "write headers as"),
        ("source: {headers: [a]}", "a mapping of names to values"),
        ("source: {basic_password: a}", "SLO_BASIC_USER"),
        ("source: {basic_user: a, bearer_token: b}", "more than one credential"),
        ("source: {bearer_token: b, headers: {authorization: c}}", "more than one credential"),
        ("source:\n  timeout: 5s\n  timeout: 6s", r"slo\.yaml:3:3: this key is there twice"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(written(tmp_path, text), environ={})


@pytest.mark.parametrize(
    "line", ["  basic_password: *hunter2", "  basic_password: 'hunter2", "  hunter2: {", "\thunter2"]
)
def test_broken_yaml_is_placed_but_not_quoted(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=r"slo\.yaml:\d+:\d+: not YAML") as caught:
        load(written(tmp_path, f"source:\n{line}\n"), environ={})
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_names_the_ways_to_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SLO_CONFIG or --config"):
        load(tmp_path / "none.yaml", environ={})
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "bytes", environ={})


def test_mistakes_in_the_environment_name_the_variable() -> None:
    with pytest.raises(ConfigError, match="SLO_TIMEOUT"):
        load(environ={"SLO_TIMEOUT": "1 fortnight"})
    with pytest.raises(ConfigError, match="both bearer_token and bearer_token_file"):
        SourceConfig(bearer_token="a", bearer_token_file=Path("b"))
    with pytest.raises(ConfigError, match="the URL holds a user") as caught:
        load(environ={"SLO_BEARER_TOKEN": "hunter2"}, user="ann", password="hunter3")
    assert "hunter" not in str(caught.value)


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
    for key in SETTINGS:
        assert f"`{key}`" in page and f"`SLO_{key.upper()}`" in page


@pytest.mark.parametrize(
    ("url", "shown", "user", "password"),
    [
        ("http://localhost:9090", "http://localhost:9090", "", ""),
        ("HTTPS://Example.org/prom/", "https://example.org/prom", "", ""),
        ("http://h/api/v1/", "http://h", "", ""),
        ("http://[::1]:9090/", "http://[::1]:9090", "", ""),
        ("http://a%40b:c%3Ad@h:1/x", "http://h:1/x", "a@b", "c:d"),
        ("http://a@h", "http://h", "a", ""),
    ],
)
def test_urls(url: str, shown: str, user: str, password: str) -> None:
    parts, *rest = split_url(url)
    assert parts.geturl() == shown and rest == [user, password]


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http://h/" + "x" * 5000,
        "ftp://u:hunter2@h",
        "http://u:hunter2@h:port",
        "http://u:hunter2@h/graph?g0.expr=up",
        "http://u:hunter2@[h",
    ],
)
def test_bad_urls_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        split_url(url)
    assert "hunter2" not in str(caught.value)
