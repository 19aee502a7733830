"""Where a report goes beside its folder: e-mail and a chat's webhook. Secrets come from the environment alone."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from slo.errors import ConfigError, SloError
from slo.weekly.config import EmailModel, WebhookModel, secret

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
    message = EmailMessage()
    message["Subject"] = " ".join(subject.split())
    message["From"] = email.from_
    message["To"] = ", ".join(email.to)
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=email.from_.rpartition("@")[2].strip("> ") or None)
    message.set_content(text)
    if attached is not None:
        name, content = attached
        kind = ("application", "zip") if name.endswith(".zip") else ("text", "html")
        message.add_attachment(content, maintype=kind[0], subtype=kind[1], filename=name)
    user = None if email.user_env is None else secret(email.user_env, environment)
    password = None if email.password_env is None else secret(email.password_env, environment)
    place = f"{email.host}:{port}"
    try:
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
    if refused:
        raise DeliveryError(f"{place} did not take {', '.join(refused)}")


def post_webhook(webhook: WebhookModel, text: str, environment: Mapping[str, str]) -> None:
    """The text as Slack-compatible JSON. Raises DeliveryError, ConfigError; the address is never told."""
    import requests

    url = secret(webhook.url_env, environment)
    if not url.lower().startswith(("http://", "https://")):
        raise ConfigError(f"the environment variable {webhook.url_env} holds no http(s) address")
    try:
        answer = requests.post(url, json={"text": text}, timeout=TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as error:
        raise DeliveryError(f"the webhook of {webhook.url_env} cannot be reached: {type(error).__name__}") from None
    if answer.status_code >= 300:
        raise DeliveryError(f"the webhook of {webhook.url_env} answers {answer.status_code}")


def _reason(error: Exception) -> str:
    code = getattr(error, "smtp_code", None)
    if code is not None:
        return str(code)
    return getattr(error, "strerror", None) or "no further reason"
