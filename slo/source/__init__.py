"""Where samples and query results come from: a Prometheus, a recording on disk, a simulation. One small interface."""

from __future__ import annotations

import os
import re
from pathlib import Path

from slo.errors import ConfigError
from slo.redact import holds_userinfo, without_userinfo
from slo.source.base import Matrix, MatrixSeries, Source, retention_ms

__all__ = ["GROUP", "Matrix", "MatrixSeries", "Source", "open", "retention_ms"]


def open(text: str | os.PathLike[str], *, config: str | os.PathLike[str] | None = None) -> Source:
    """The source at an http(s) URL of anything with the Prometheus API, or at a path: a recording, or a CSV or Parquet file
    of events per step. Other schemes are those of installed packages (entry points of the group `slo.sources`).

    `host:9090` is `http://host:9090`, unless there is such a file.

    `config` is the YAML file with credentials and limits for a server (none: that of SLO_CONFIG, if set); the
    environment wins over it. Opening talks to no server. Raises ConfigError, RecordingError.
    """
    if isinstance(text, str) and _HOST_AND_PORT.fullmatch(text.strip()) and not Path(text).exists():
        text = f"http://{text.strip()}"
    if isinstance(text, str) and text.strip().lower().startswith(("http://", "https://")):
        from slo.source.prometheus import PrometheusSource

        return PrometheusSource.open(text, config=config)
    place = os.fspath(text)
    if _ADDRESS.match(place) and not Path(place).exists():
        return _of_package(place, None if config is None else os.fspath(config))
    from slo.source.recording import Recording, holds_counts

    path = Path(text)
    if path.suffix.lower() == ".csv" or holds_counts(path):
        from slo.source.counted import CountSource

        return CountSource.open(path)
    return Recording.open(path)


_HOST_AND_PORT = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}(?:/[^?#]*)?")
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://")
# A scheme, whether right or not, or a user with a password.
_ADDRESS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*(:/|//)|:?//|[^/\s:]*:[^\s]*@)")

# Packages add sources under this group of entry points: the name is a scheme, the value a function of the URL and of the
# path of a configuration file (or None) that gives a `Source`.
GROUP = "slo.sources"


def _of_package(address: str, config: str | None) -> Source:
    """The source of an installed package. Raises ConfigError where none has the scheme of the address, or it has none."""
    from importlib.metadata import entry_points

    from slo.suggest import suggest

    # What follows `?` and `#` may be a token.
    shown = (without_userinfo(address) if holds_userinfo(address) else address).partition("?")[0].partition("#")[0]
    found = _SCHEME.match(address)
    if found is None:
        raise ConfigError(
            f"{shown}: sources are addresses that begin with http:// or https://, and recordings or events on disk; there is "
            "none of this name"
        )
    scheme = found[1]
    known = {point.name: point for point in entry_points(group=GROUP)}
    if scheme not in known:
        raise ConfigError(f"{shown}: no source for {scheme}://…{suggest(scheme, ['http', 'https', *known])}")
    source: Source = known[scheme].load()(address, config)
    return source
