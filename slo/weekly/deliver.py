"""Where a report goes alongside its folder: e-mail and a chat's webhook. Secrets come from the environment alone."""

from __future__ import annotations

import io
import smtplib
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any

from slo.errors import ConfigError, SloError
from slo.source.bounded import BoundedAdapter, BoundedCall, BoundedStream, LateError, TooLargeError, reading
from slo.weekly.config import EmailModel, WebhookModel, is_address, mailbox, secret, shown_host
from slo.weekly.message import subject_text

# Seconds without any answer, and of a delivery in all, however its server trickles. What is written goes in pieces, so
# that each has a time of its own. A server that has taken a message is not waited for at its farewell.
TIMEOUT_S, TOTAL_S, QUIT_S = 30.0, 120.0, 5.0
PIECE_BYTES = 1 << 14


class DeliveryError(SloError):
    """A delivery that failed; its message names no credential. `late`: because it took too long."""

    def __init__(self, message: str, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


class _Smtp(smtplib.SMTP):
    """A conversation with a mail server with one deadline and one size; smtplib has a time-out for each read alone."""

    def __init__(self, host: str, port: int, call: BoundedCall, **more: Any) -> None:
        self._call = call
        super().__init__(host, port, timeout=min(TIMEOUT_S, call.left()), **more)

    def getreply(self) -> tuple[int, bytes]:
        """A reply, of any number of lines. Raises LateError, TooLargeError, TimeoutError."""
        if self.file is None and self.sock is not None:
            stream = BoundedStream(self.sock.makefile("rb", buffering=0), self.sock, self._call)
            self.file: Any = io.BufferedReader(stream)
        with self._in_time():
            return super().getreply()

    def send(self, s: Any) -> None:
        """A command or a message. Raises LateError, TimeoutError."""
        data = memoryview(s.encode(self.command_encoding) if isinstance(s, str) else s)
        for start in range(0, len(data), PIECE_BYTES):
            if self.sock is not None:
                self.sock.settimeout(min(TIMEOUT_S, self._call.left()))
            with self._in_time():
                super().send(data[start : start + PIECE_BYTES])

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """Within it, what smtplib takes for a server that hung up is a time-out where it was one."""
        try:
            yield
        except smtplib.SMTPServerDisconnected as error:
            self._call.check()
            if isinstance(error.__context__, TimeoutError):
                raise error.__context__ from None
            raise


class _TlsSmtp(_Smtp, smtplib.SMTP_SSL):
    pass


def send_email(
    email: EmailModel,
    port: int,
    subject: str,
    text: str,
    attached: tuple[str, bytes] | None,
    environment: Mapping[str, str],
    to: Sequence[str] | None = None,
) -> list[str]:
    """The text, with a page or a zip file attached, by its name; `to` are those of the addressees who get it, without it all.

    Returns whom the server did not take it for, while others have it now. Raises DeliveryError where nobody has, ConfigError.
    """
    user = None if email.user_env is None else secret(email.user_env, environment)
    password = None if email.password_env is None else secret(email.password_env, environment)
    place = f"{shown_host(email.host)}:{port}"
    call = BoundedCall(time.monotonic() + TOTAL_S, 0)
    try:
        message = _message(email, subject, text, attached)
        if email.security == "tls":
            server: _Smtp = _TlsSmtp(email.host, port, call, context=ssl.create_default_context())
        else:
            server = _Smtp(email.host, port, call)
        try:
            if email.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if user is not None and password is not None:
                server.login(user, password)
            refused = server.send_message(message, to_addrs=list(addressees(email) if to is None else to))
            # The message is taken, whatever the server does now: it must not be sent again.
            call.deadline = min(call.deadline, time.monotonic() + QUIT_S)
            with suppress(Exception):
                server.quit()
        finally:
            server.close()
    except smtplib.SMTPAuthenticationError:
        raise DeliveryError(f"{place} does not accept the user and password that were given") from None
    except smtplib.SMTPRecipientsRefused as error:
        raise DeliveryError(f"{place} takes none of {', '.join(error.recipients)}") from None
    except (LateError, TimeoutError):
        raise _late(place, call) from None
    except TooLargeError:
        raise DeliveryError(f"{place} answers without end") from None
    except smtplib.SMTPServerDisconnected:
        raise DeliveryError(f"{place} hung up before it took the message") from None
    except (smtplib.SMTPException, OSError) as error:
        raise DeliveryError(f"{place}: {type(error).__name__}: {_reason(error)}") from None
    except SloError:
        raise
    except Exception as error:  # noqa: BLE001 - such as a password that is not ASCII, which the error would show
        raise DeliveryError(f"{place}: {type(error).__name__}; no message was sent") from None
    return list(refused)


def addressees(email: EmailModel) -> list[str]:
    """The bare addresses that a message is for, each once."""
    return list(dict.fromkeys(_address(text).addr_spec for text in email.to))


def _message(email: EmailModel, subject: str, text: str, attached: tuple[str, bytes] | None) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject_text(subject)
    message["From"] = _address(email.from_)
    message["To"] = [_address(text) for text in email.to]
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=_address(email.from_).domain)
    message.set_content(text)
    if attached is not None:
        name, content = attached
        kind = ("application", "zip") if name.endswith(".zip") else ("text", "html")
        message.add_attachment(content, maintype=kind[0], subtype=kind[1], filename=name)
    return message


def _address(text: str) -> Address:
    """An address of the configuration, which has been checked."""
    address = mailbox(text)
    if address is None:
        raise ConfigError(f"{text!r} is not a valid e-mail address")
    return Address(*address)


def post_webhook(webhook: WebhookModel, text: str, formatted: bool, environment: Mapping[str, str]) -> None:
    """The text as Slack-compatible JSON; not `formatted`, it is shown as it is. Raises DeliveryError, ConfigError; the
    address is in no message."""
    import requests

    url = secret(webhook.url_env, environment)
    if not is_address(url):
        raise ConfigError(f"the environment variable {webhook.url_env} holds no http(s) address")
    content = {"text": text} if formatted else {"text": text, "mrkdwn": False}
    place = f"the webhook of {webhook.url_env}"
    call = BoundedCall(time.monotonic() + TOTAL_S, 0)
    try:
        with reading(call), requests.Session() as session:
            # Not even looked at: requests reads a redirect's body whole, and unpacks it, to know where it would lead.
            session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
            for scheme in ("http://", "https://"):
                session.mount(scheme, BoundedAdapter())
            with session.post(url, json=content, timeout=TIMEOUT_S, allow_redirects=False, stream=True) as answer:
                status = answer.status_code
    except (LateError, requests.Timeout):
        raise _late(place, call) from None
    except TooLargeError:
        raise DeliveryError(f"{place} answers without end") from None
    except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold the address
        raise DeliveryError(f"{place} cannot be reached: {type(error).__name__}") from None
    if status >= 300:
        raise DeliveryError(f"{place} answers {status}")


def _late(place: str, call: BoundedCall) -> DeliveryError:
    past = time.monotonic() >= call.deadline
    why = f"took longer than {TOTAL_S:g} s in all" if past else f"did not answer for {TIMEOUT_S:g} s"
    return DeliveryError(f"{place} {why}", late=True)


def _reason(error: Exception) -> str:
    code = getattr(error, "smtp_code", None)
    if code is not None:
        return str(code)
    if type(error) in (smtplib.SMTPException, smtplib.SMTPNotSupportedError):
        return str(error)  # smtplib's own words, such as that there is no STARTTLS, and none of the server's
    return getattr(error, "strerror", None) or "no further reason"
