"""Messages say what was meant: Slack's own escaping, no backslashes, names as they are, nothing endless."""

from __future__ import annotations

import json
from email import message_from_string, policy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.errors import DefinitionError
from slo.report.plain import _plain
from slo.report.text import clean
from slo.weekly import read_config
from slo.weekly.config import is_address, is_host, mailbox
from slo.weekly.message import MOST_CHAT, MOST_MAIL, chat_text, mail_text, subject_text
from tests.rules.target import Web
from tests.weekly.test_job import DEFINITION, MONDAY, WEEK, configure, go, record, smtp


def unescaped(text: str) -> str:
    """What Slack shows of a text."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("\u200b", "")


@given(st.text(max_size=150))
def test_any_text_arrives_as_it_was_written(text: str) -> None:
    meant = " ".join(clean(text).split())
    markdown = f"## Title\n\n**Verdict.** {_plain(text)}\n\n| a |\n|---|\n| x |\n"
    chat, _ = chat_text(markdown)
    assert unescaped(chat).replace("*", "").rstrip() == f"Title\n\nVerdict. {meant}".replace("*", "").rstrip()
    assert not set("<>") & set(chat)
    assert mail_text(markdown).startswith(f"Title\n\nVerdict. {meant}".rstrip())


@pytest.mark.parametrize("name", ["my_service/http_5xx_total", "user@host", "a & b <c>", "x\\y", "&amp;", "&#64;", "5*3", "a|b", "[link](http://x)"])  # fmt: skip
def test_names_have_no_backslash_and_bold_stays_bold(name: str) -> None:
    chat, bold = chat_text(f"**2 of 3.** {_plain(name)}")
    assert bold and unescaped(chat) == f"*2 of 3.* {name}"
    assert ("\\" in chat) == ("\\" in name)


@pytest.mark.parametrize("name", ["_total_", "*all*", "~old~", "a _b_ c"])
def test_what_slack_would_format_is_shown_as_it_is(name: str) -> None:
    """It has no escape for these: the message goes without any formatting."""
    assert chat_text(f"**2 of 3.** {_plain(name)}") == (f"2 of 3. {name}", False)


@pytest.mark.parametrize("word", ["@here", "@channel", "@everyone", "@All", "<!channel>", "<@U123>"])
def test_nobody_is_notified_by_a_name(word: str) -> None:
    chat, _ = chat_text(_plain(f"of {word} all"))
    assert word not in chat and unescaped(chat) == f"of {word} all"


@given(st.integers(0, 3000), st.sampled_from(["x", "<&>", "a_b ", "é"]), st.booleans())
def test_long_messages_are_cut_and_say_so(lines: int, piece: str, linked: bool) -> None:
    link = "https://slo.example.com/2026-W38/" if linked else ""
    markdown = "\n".join(f"- {number} {_plain(piece * 5)}" for number in range(lines))
    chat, _ = chat_text(markdown, link)
    assert len(chat) <= MOST_CHAT + 200
    assert chat.endswith(link)
    if lines > 1000:
        assert "cut here" in chat
    assert len(mail_text(markdown)) <= MOST_MAIL + 1


def test_one_endless_line_is_cut_too() -> None:
    assert len(chat_text("x" * 10**6)[0]) <= MOST_CHAT and len(chat_text("&" * 10**6)[0]) <= MOST_CHAT + 200
    assert subject_text("a\r\nBcc: b@c\x00\u2028" + "x" * 500) == "a Bcc: b@c " + "x" * 188 + "…"


HOSTS = ["smtp.example.com", "localhost", "127.0.0.1", "::1", "a-b.c1", "xn--bcher-kva.example", "smtp.example.com."]
NO_HOSTS = ["", "smtp example.com", "smtp://mail", "mail:25", "-a.b", "a..b", "bücher.example", "a_b", "1.2.3", "x" * 64, "a\n", "ho st", "user@host", "a/b"]  # fmt: skip


@pytest.mark.parametrize(("host", "good"), [*((h, True) for h in HOSTS), *((h, False) for h in NO_HOSTS)])
def test_hosts(host: str, good: bool) -> None:
    assert is_host(host) == good


MAILBOXES = ["a@b", "team@example.com", "Team <team@example.com>", "<a@b>", "a.b+c_d@example.com", "Ärzte Team <a@b.c>"]
NO_MAILBOXES = ["", "a", "@b", "a@", "a@b, c@d", "a b@c", "a@b c", "a@b\nBcc: c@d", "a@b>", "<a@b", "a..b@c", ".a@b", "é@b", "a@é", "x" * 65 + "@b", "Team: a@b;", "a@[1.2.3.4", "a@b\0", "a@::1", "\x85 <a@b>"]  # fmt: skip


@pytest.mark.parametrize(("text", "good"), [*((m, True) for m in MAILBOXES), *((m, False) for m in NO_MAILBOXES)])
def test_mailboxes(text: str, good: bool) -> None:
    assert (mailbox(text) is not None) == good


@given(st.text(max_size=40))
def test_what_is_taken_for_a_mailbox_can_be_sent_to(text: str) -> None:
    from slo.weekly.config import EmailModel
    from slo.weekly.deliver import _message

    for candidate in (text, f"{text}@example.com", f"{text} <a@b>"):
        if mailbox(candidate):
            model = EmailModel.model_validate({"host": "h", "from": candidate, "to": [candidate, "x@y"]})
            sent = _message(model, text, text, None)
            assert len(sent["To"].addresses) == 2 and sent["From"].addresses[0].domain


@pytest.mark.parametrize(
    "text", ["http://[", "http://", "ftp://a", "https://a b", "https://é.example", "http://a:x/", "//a", ""]
)
def test_no_addresses(text: str) -> None:
    assert not is_address(text)


@pytest.mark.parametrize(
    ("deliver", "said"),
    [
        ("email: {host: 'mail:25', from: a@b, to: [a@b]}", r"deliver.email.host: is not a valid host name; write `host: mail` and `port: 25`"),
        ("email: {host: 'bücher.example', from: a@b, to: [a@b]}", "is not a valid host name"),
        ("email: {host: mail, from: nobody, to: [a@b]}", r"deliver.email.from: is not a valid e-mail address; write one"),
        ("email: {host: mail, from: a@b, to: [a@b, 'a@b, c@d']}", r"deliver.email.to\[1\]: is not a valid e-mail address.*several as a list"),
        ("email: {host: mail, from: a@b, to: [a@b], user_env: U}", "belong together"),
        ("webhook: {url_env: HOOK, link: 'http://['}", "deliver.webhook.link: is not a http"),
        ("webhook: {url_env: HOOK, link: 'https://u:hunter2@h/'}", "deliver.webhook.link: is not a http"),
    ],
)  # fmt: skip
def test_addresses_and_hosts_are_checked_when_the_configuration_is_read(
    tmp_path: Path, deliver: str, said: str
) -> None:
    file = configure(tmp_path, deliver=f"{{folder: out, {deliver}}}")
    with pytest.raises(DefinitionError, match=said) as caught:
        read_config(file)
    assert "hunter2" not in str(caught.value)


def test_what_is_delivered(tmp_path: Path) -> None:
    """To both, with a name of underscores, and a title with what mail headers and Slack take for their own."""
    (tmp_path / "shop.yaml").write_text(DEFINITION.replace("shop", "my_shop").replace("name: errors", "name: http_5xx"))
    record(tmp_path, MONDAY - 5 * WEEK, MONDAY)
    got: list[dict[str, Any]] = []

    def receive(path: str, body: bytes) -> str:
        got.append(json.loads(body))
        return ""

    with Web(receive) as web, smtp() as sink:
        email = f"email: {{host: 127.0.0.1, port: {sink.port}, security: none, from: 'SLO <slo@example.com>', to: [team@example.com]}}"
        file = configure(
            tmp_path,
            title='"Budgets <a&b> @here"',
            deliver=f"{{folder: out, webhook: {{url_env: HOOK, link: 'https://slo.example.com'}}, {email}}}",
        )
        code, reported = go(file, MONDAY + 1, {"HOOK": f"http://{web.address}/x"})
        assert code == 0, reported
        [text] = sink.messages
    [message] = got
    lines = message["text"].splitlines()
    assert (
        lines[0].startswith("Budgets &lt;a&amp;b&gt; @\u200bhere: 2026-W38")
        and lines[-1] == "https://slo.example.com/2026-W38/"
    )
    assert "my_shop/http_5xx" in message["text"] and "\\" not in message["text"]
    assert "mrkdwn" not in message
    mail = message_from_string(text, policy=policy.default)
    assert mail["Subject"] == "Budgets <a&b> @here: 2026-W38"
    body = mail.get_body(("plain",))
    assert body is not None
    content = body.get_content()
    assert "my_shop/http_5xx" in content and "\\" not in content and "&#" not in content and "**" not in content


@pytest.mark.parametrize("password", ["pässwörd-hunter2", "a\0hunter2"])
def test_a_password_that_smtp_cannot_send_is_not_shown(
    tmp_path: Path, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slo.weekly.config import EmailModel
    from slo.weekly.deliver import DeliveryError, send_email

    class Server:
        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None: ...

        def login(self, user: str, word: str) -> None:
            word.encode("ascii")
            raise ValueError(word)

    monkeypatch.setattr("smtplib.SMTP", lambda *_, **__: Server())
    model = EmailModel.model_validate(
        {"host": "h", "from": "a@b", "to": ["a@b"], "security": "none", "user_env": "U", "password_env": "P"}
    )
    with pytest.raises(DeliveryError) as caught:
        send_email(model, 25, "s", "t", None, {"U": "u", "P": password})
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__}" and caught.value.__suppress_context__
