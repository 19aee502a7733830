"""Where a report goes beside its folder: e-mail and a chat's webhook. Secrets come from the environment alone."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from slo.errors import ConfigError, SloError
from slo.weekly.config import EmailModel, WebhookModel, is_address, mailbox, secret
from slo.weekly.message import subject_text

TIMEOUT_S = 30


class DeliveryError(SloError):
    """A delivery that failed; its message names no credential."""


def send_email(
    email: EmailModel,
    port: int,
    subject: str,
    text: str,
    attached: tuple[str, bytes] | None,
    environment: Mapping[str, str],
) -> None:
    """The text, with a page or a zip file attached, by its name. Raises DeliveryError, ConfigError."""
    user = None if email.user_env is None else secret(email.user_env, environment)
    password = None if email.password_env is None else secret(email.password_env, environment)
    place = f"{email.host}:{port}"
    try:
        message = _message(email, subject, text, attached)
        if email.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                email.host, port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(email.host, port, timeout=TIMEOUT_S)
        with server:
            if email.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if user is not None and password is not None:
                server.login(user, password)
            refused = server.send_message(message)
    except smtplib.SMTPAuthenticationError:
        raise DeliveryError(f"{place} does not accept the user and password that were given") from None
    except smtplib.SMTPRecipientsRefused as error:
        raise DeliveryError(f"{place} takes none of {', '.join(error.recipients)}") from None
    except (smtplib.SMTPException, OSError) as error:
        raise DeliveryError(f"{place}: {type(error).__name__}: {_reason(error)}") from None
    except SloError:
        raise
    except Exception as error:  # noqa: BLE001 - such as a password that is no ASCII, which the error would show
        raise DeliveryError(f"{place}: {type(error).__name__}; no message was sent") from None
    if refused:
        raise DeliveryError(f"{place} did not take {', '.join(refused)}")


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
    found = mailbox(text)
    if found is None:
        raise ConfigError(f"{text!r} is no e-mail address")
    return Address(*found)


def post_webhook(webhook: WebhookModel, text: str, formatted: bool, environment: Mapping[str, str]) -> None:
    """The text as Slack-compatible JSON; not `formatted`, it is shown as it is. Raises DeliveryError, ConfigError; the
    address is in no message."""
    import requests

    url = secret(webhook.url_env, environment)
    if not is_address(url):
        raise ConfigError(f"the environment variable {webhook.url_env} holds no http(s) address")
    content = {"text": text} if formatted else {"text": text, "mrkdwn": False}
    try:
        with requests.post(url, json=content, timeout=TIMEOUT_S, allow_redirects=False, stream=True) as answer:
            status = answer.status_code
    except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold the address
        raise DeliveryError(f"the webhook of {webhook.url_env} cannot be reached: {type(error).__name__}") from None
    if status >= 300:
        raise DeliveryError(f"the webhook of {webhook.url_env} answers {status}")


def _reason(error: Exception) -> str:
    code = getattr(error, "smtp_code", None)
    if code is not None:
        return str(code)
    return getattr(error, "strerror", None) or "no further reason"
