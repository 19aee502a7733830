"""`slo dashboard`."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from slo.cli.output import say
from slo.cli.program import FINE, command
from slo.errors import ConfigError
from slo.redact import has_userinfo


class Form(StrEnum):
    """How the dashboards are written."""

    files = "files"
    configmap = "configmap"


@command("slo dashboard -o grafana/; slo dashboard --format configmap --namespace monitoring -o grafana/")
def dashboard(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write to.")],
    format: Annotated[
        Form,
        typer.Option("--format", help="JSON files with a provisioning file, or a ConfigMap for Grafana's sidecar."),
    ] = Form.files,
    namespace: Annotated[
        str | None, typer.Option("--namespace", metavar="NAME", help="The ConfigMap's namespace.")
    ] = None,
    report_url: Annotated[
        str | None, typer.Option("--report-url", metavar="URL", help="Where the report is: a link on both dashboards.")
    ] = None,
    runbook_url: Annotated[
        str | None,
        typer.Option(
            "--runbook-url",
            metavar="URL",
            help="Where an SLO's runbook is, with ${service} and ${slo} in it: a link on the detail dashboard and in the table.",
        ),
    ] = None,
) -> int:
    """Write Grafana dashboards for the recorded series: all SLOs worst first, and one in detail."""
    from slo.dashboards.boards import Links, dashboards
    from slo.files import write_text
    from slo.rules.resource import namespace_of

    if namespace is not None:
        if format is not Form.configmap:
            raise ConfigError("--namespace is a ConfigMap's; add --format configmap, or leave it out")
        namespace_of(namespace)
    for flag, url in (("--report-url", report_url), ("--runbook-url", runbook_url)):
        if url is not None and has_userinfo(url):
            raise ConfigError(
                f"{flag} holds a user or password, which everybody would see who opens a dashboard; leave it out"
            )
        if url is not None and not re.fullmatch(r"(?:https?://|/)\S+", url):
            raise ConfigError(
                f"{flag} {url[:80]!r} is not an address; write one such as https://slo.example.com/${{service}}"
            )
    links = Links(report_url or "", runbook_url or "")
    texts = {
        f"{uid}.json": json.dumps(board, indent=1, ensure_ascii=False) + "\n"
        for uid, board in dashboards(links).items()
    }
    if format is Form.configmap:
        texts = {"slo-dashboards.yaml": _config_map(texts, namespace)}
    else:
        texts["provisioning.yaml"] = _PROVISIONING
    for name, text in texts.items():
        write_text(output / name, text)
    say(f"written to {output}: {', '.join(texts)}")
    return FINE


# Grafana looks for it in /etc/grafana/provisioning/dashboards.
_PROVISIONING = """\
apiVersion: 1
providers:
  - name: slo
    folder: SLOs
    type: file
    allowUiUpdates: true
    options:
      path: /var/lib/grafana/dashboards/slo
"""


def _config_map(texts: dict[str, str], namespace: str | None) -> str:
    """The files in a ConfigMap that the sidecar of Grafana's Helm chart picks up by its label."""
    import yaml

    metadata: dict[str, object] = {"name": "slo-dashboards", "labels": {"grafana_dashboard": "1"}}
    if namespace is not None:
        metadata["namespace"] = namespace
    data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": texts}
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=10_000)
