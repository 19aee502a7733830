"""No secret is shown of any slip: a password or token in every place of every configuration, and in none of what comes out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from slo.cli import run
from slo.errors import SloError
from slo.promql.samples import Samples
from slo.redact import holds_userinfo, looks_secret
from slo.source.config import SETTINGS, load, sources
from slo.source.recording import Header, write
from slo.weekly import read_config
from slo.weekly.config import WeeklyModel
from tests.servers import free_port

NEEDLE = "hunter2"
# What is written in the place of a value, as YAML: passwords, addresses with them, webhooks, tokens; bare, in quotes, as YAML's own marks, nested.
PLANTED = [
    "hunter2", "'hunter2'", '"pa ss hunter2"', "user:hunter2", "user:hunter2@host", "h/u:hunter2@host", "hunter2@host:9090",
    "http://user:hunter2@host", "http://hunter2@host", "postgres://u:pa/hunter2@host", "htps:/u:hunter2@host", "'http://host/?token=hunter2'",
    "https://hooks.slack.com/services/T0/B0/hunter2", "https://chat.example/hooks/webhook/hunter2", "glsa_hunter2Zx91LpQw7dKq3T", "hunter2Zx91LpQw7dKq3T",
    "'Bearer hunter2abc1'", "password=hunter2", "'#hunter2'", "!hunter2", "!hunter2 x", "*hunter2", "&hunter2 x", "'hunter2", '"\\hunter2"', "@hunter2", "`hunter2`", "%hunter2",
    "[hunter2]", "[[hunter2]]", "{hunter2}", "{a: hunter2}", "{a: {b: [hunter2]}}", "{password: hunter2}", "|\n    hunter2\n", "12hunter2", "hunter2s", "5m hunter2", "week-hunter2",
]  # fmt: skip
# What a person names and a report shows: a word in it is what was meant. (An address with a password, and a token by its look, is not.)
SHOWN = {("title",), ("deliver", "folder"), ("ledger",), ("metrics",)}
Place = tuple[str, ...]


def places(model: type[BaseModel], at: Place = ()) -> Iterator[Place]:
    """The path of each key of a model and of those in it; mappings too."""
    for name, info in model.model_fields.items():
        path = (*at, info.alias or name)
        yield path
        for part in (info.annotation, *get_args(info.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from places(part, path)


def slips(known: Sequence[Place]) -> list[Place]:
    """The keys, misspelt ones, ones without a place there, and the section itself."""
    misspelt = [(*path[:-1], path[-1][:-1] or "x") for path in known]
    strange = [(*path[:-1], key) for path in known for key in ("password", "bearer_token", "url", "x1")]
    return list(dict.fromkeys([*known, *misspelt, *strange]))


WEEKLY: dict[str, Any] = {
    "definitions": "[shop.yaml]", "source": "r.parquet", "period": "week", "retries": "0",
    "deliver": {
        "folder": "kept",
        "email": {"host": "127.0.0.1", "port": str(free_port()), "security": "none", "from": "a@shop.example", "to": "[b@shop.example]"},
        "webhook": {"url_env": "HOOK"},
    },
}  # fmt: skip
WEEKLY_SLIPS = slips(list(places(WeeklyModel)))
SOURCE_KEYS = [("source", key) for key in SETTINGS] + [("sources", "shop", key) for key in ("url", *SETTINGS)]
SOURCE_SLIPS = slips([("source",), ("sources",), ("sources", "shop"), *SOURCE_KEYS])


def text_of(document: dict[str, Any], path: Place, planted: str, form: str) -> str:
    """The document as YAML with the secret at a path: as its value, as a part of a list, as a key, or without the space."""
    lines: list[str] = []

    def put(value: Any, depth: int, rest: Place | None) -> None:
        items = dict(value)
        if rest and rest[0] not in items:
            items[rest[0]] = {} if len(rest) > 1 else None
        for key, item in items.items():
            here = rest[1:] if rest and rest[0] == key else None
            indent = "  " * depth
            if here == ():
                shown = {"value": f"{key}: {planted}", "list": f"{key}: [{planted}, {planted}]", "key": f"{key}: {{{planted}: x}}",
                         "no space": f"{key}:{planted}", "own key": f"{planted}: x"}[form]  # fmt: skip
                lines.append(indent + shown)
            elif isinstance(item, dict) or here:
                lines.append(f"{indent}{key}:")
                put(item if isinstance(item, dict) else {}, depth + 1, here)
            else:
                lines.append(f"{indent}{key}: {item}")

    put(document, 0, path)
    return "\n".join(lines) + "\n"


OPEN = (
    r"(oauth2_(token_url|client_id|scopes|audience)|aws_\w+|azure_\w+|tenant)='[^']*'"  # settings that are no secrets
)
# Of all of them every so many, but each in its turn; all in `make slow`.
EVERY = 1 if "SLO_SLOW" in os.environ else 29
FORMS = ["value", "list", "key", "no space", "own key"]
planted = st.sampled_from(PLANTED)
forms = st.sampled_from(["value"] * 4 + FORMS)
drawn = settings(
    max_examples=int(os.environ.get("SLO_FUZZ", "25")),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("secrets")
    (folder / "shop.yaml").write_text(
        "service: shop\nslos: [{name: up, objective: 99, window: 7d, sli: {probe: {metric: up}}}]\n"
    )
    times = np.arange(1_789_000_000_000, 1_790_000_000_001, 300_000)
    series = [({"__name__": "up", "job": "j", "instance": "i"}, times, np.ones(len(times)))]
    write(folder / "r.parquet", Samples.from_series(series), Header(int(times[0]), int(times[-1]), "a test"))
    return folder


@pytest.fixture(autouse=True)
def alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.delenv("HOOK", raising=False)
    for name in [name for name in os.environ if name.startswith("SLO_") and name != "SLO_FUZZ"]:
        monkeypatch.delenv(name)


@contextmanager
def quick_retries() -> Iterator[None]:
    """Within it, nothing is waited for between tries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slo.source.http.time.sleep", lambda _: None)
        yield


def is_meant(path: Place, secret: str, form: str) -> bool:
    """Whether what is planted is a name that a person may give to what is shown; a title is any text but one with a credential."""
    if path == ("title",) and form == "value" and not holds_userinfo(secret.strip("'\"")):
        return True
    return (
        path in SHOWN and form == "value" and re.fullmatch(r"['\"]?[#%@`!&*|]?[\w\s=.\\-]*['\"]?", secret) is not None
    )


def shown(text: str, path: Place, secret: str, form: str) -> str:
    return f"{path} {form} {secret}\n{text}"


@pytest.mark.parametrize("form", FORMS)
def test_no_reader_of_a_configuration_quotes_a_secret(place: Path, form: str) -> None:
    start = FORMS.index(form)
    for path, secret in list(product(WEEKLY_SLIPS, PLANTED))[start::EVERY]:
        if is_meant(path, secret, form):
            continue
        (place / "weekly.yaml").write_text(text_of(WEEKLY, path, secret, form))
        try:
            read_config("weekly.yaml")
        except SloError as error:
            assert NEEDLE not in f"{error} {error!r}", shown(str(error), path, secret, form)
    for path, secret in list(product(SOURCE_SLIPS, PLANTED))[start::EVERY]:
        (place / "slo.yaml").write_text(text_of({}, path, secret, form))
        for reader in (load, sources):
            try:
                value = reader("slo.yaml", environ={})
            except SloError as error:
                assert NEEDLE not in f"{error} {error!r}", shown(str(error), path, secret, form)
            else:
                assert reader is sources or NEEDLE not in re.sub(OPEN, "", repr(value)), (path, secret)


def outputs(place: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """All that was printed, and written to files other than the inputs, whose names count too."""
    said = capsys.readouterr()
    inputs = {"weekly.yaml", "slo.yaml", "shop.yaml", "r.parquet"}
    files = [path for path in place.rglob("*") if path.relative_to(place).as_posix() not in inputs]
    written = "".join(f"{path.relative_to(place)} " for path in files)
    written += "".join(path.read_bytes().decode("latin-1") for path in files if path.is_file())
    for path in sorted(files, reverse=True):  # one example leaves nothing to the next
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    return said.out + said.err + written


@drawn
@given(path=st.sampled_from(WEEKLY_SLIPS), secret=planted, form=forms)
def test_no_run_of_the_job_shows_one(
    place: Path, capsys: pytest.CaptureFixture[str], path: Place, secret: str, form: str
) -> None:
    if is_meant(path, secret, form):
        return
    (place / "weekly.yaml").write_text(text_of(WEEKLY, path, secret, form))
    assert run(["weekly", "weekly.yaml", "--now", "1790000000"], True) in (0, 1, 2)
    text = outputs(place, capsys)
    assert NEEDLE not in text, shown(text, path, secret, form)


@drawn
@given(path=st.sampled_from(SOURCE_SLIPS), secret=planted, form=forms, command=st.integers(0, 3))
def test_no_command_shows_one_of_its_source(
    place: Path, capsys: pytest.CaptureFixture[str], path: Place, secret: str, form: str, command: int
) -> None:
    (place / "slo.yaml").write_text(text_of({}, path, secret, form))
    nobody = ["-s", f"http://127.0.0.1:{free_port()}"]
    arguments = [
        ["status", "shop.yaml"], ["status", "shop.yaml", *nobody, "--json"], ["report", "shop.yaml", *nobody, "-o", "out"],
        ["record", "shop.yaml", *nobody, "--start", "1h", "-o", "again.parquet"],
    ][command]  # fmt: skip
    with quick_retries():
        assert run([*arguments, "--config", "slo.yaml", "--end", "1790000000"], True) in (0, 1, 2)
    text = outputs(place, capsys)
    assert NEEDLE not in text, shown(text, path, secret, form)


@drawn
@given(
    key=st.sampled_from([*SETTINGS, "config", "source"]),
    secret=st.sampled_from([text for text in PLANTED if "\n" not in text]),
)
def test_no_command_shows_one_of_the_environment(
    place: Path, capsys: pytest.CaptureFixture[str], key: str, secret: str
) -> None:
    with pytest.MonkeyPatch.context() as patch, quick_retries():
        patch.setenv(f"SLO_{key.upper()}", secret)
        nobody = [] if key == "source" else ["-s", f"http://127.0.0.1:{free_port()}"]
        assert run(["status", "shop.yaml", *nobody, "--end", "1790000000"], True) in (0, 1, 2)
    text = outputs(place, capsys)
    assert NEEDLE not in text, f"{key}: {secret}\n{text}"


@pytest.mark.parametrize(
    "secret", [text for text in PLANTED if len(text) > 9 and "\n" not in text and text[0] not in "'\"[{&!"]
)
@pytest.mark.parametrize("option", ["-s", "--push", "--remote-write", "--ledger", "--scheduler", "--verify"])
def test_no_option_that_names_a_server_shows_one(
    place: Path, capsys: pytest.CaptureFixture[str], option: str, secret: str
) -> None:
    command = {
        "-s": ["status", "shop.yaml"], "--push": ["rules", "shop.yaml"], "--remote-write": ["backfill", "shop.yaml", "-s", "r.parquet"],
        "--ledger": ["ledger", "check"], "--scheduler": ["status", "shop.yaml", "-s", "r.parquet"], "--verify": ["import", "shop.yaml", "-o", "new"],
    }[option]  # fmt: skip
    if option == "--ledger" and is_meant(("ledger",), secret, "value") and not looks_secret(secret):
        return
    with quick_retries():
        code = run([*command, option, secret], True)
    assert code in (1, 2), secret
    text = outputs(place, capsys)
    assert NEEDLE not in text, f"{option} {secret}\n{text}"
