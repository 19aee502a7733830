"""Where samples and query results come from: a Prometheus, a recording on disk, a simulation. One small interface."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from slo import plugins
from slo.errors import ConfigError
from slo.files import reads_as_path
from slo.redact import holds_userinfo, without_userinfo
from slo.source import objects
from slo.source.base import Matrix, MatrixSeries, Source, retention_ms
from slo.source.config import HOST_AND_PORT, SourceConfig, load
from slo.source.limited import LimitedSource, Worker

__all__ = ["Matrix", "MatrixSeries", "Source", "open", "open_all", "retention_ms"]


def open(text: str | os.PathLike[str], *, config: str | os.PathLike[str] | None = None) -> Source:
    """The source at an http(s) URL of anything with the Prometheus API, or at a path: a recording, a CSV or Parquet file
    of events per step, or a SQL query that gives them; a recording may be in an object store (`s3://bucket/shop.parquet`). Other schemes are
    those of installed packages (entry points of the group `slo.sources`).

    `host:9090` is `http://host:9090`, unless there is such a file.

    `config` is the YAML file with credentials and limits for a server (none: that of SLO_CONFIG, if set); the
    environment wins over it. Opening talks to no server. Raises ConfigError, RecordingError.
    """
    return _open(text, config)


def _open(text: str | os.PathLike[str], config: str | os.PathLike[str] | SourceConfig | None) -> Source:
    if isinstance(text, str):
        text = with_scheme(text)
    if isinstance(text, str) and text.strip().lower().startswith(("http://", "https://")):
        from slo.source.prometheus import PrometheusSource

        return PrometheusSource.open(text, config=config)
    place = os.fspath(text)
    if not os.path.lexists(place):
        scheme = objects.scheme_of(place)
        if scheme in objects.SCHEMES and scheme not in plugins.installed(plugins.SOURCES):
            limits = config if isinstance(config, SourceConfig) else load(config)
            return Worker(objects.shown(place), limits, "put it nearer").run(lambda: objects.recording(place))
        if _ADDRESS.match(place) or holds_userinfo(place):
            return _of_package(place, config)
        if not reads_as_path(place):
            raise ConfigError(
                "the source is neither an address, such as http://host:9090, nor a file that is there; it is not shown, as it may be a "
                "password or a token, which go into the environment (SLO_BEARER_TOKEN, SLO_BASIC_PASSWORD)"
            )
    limits = config if isinstance(config, SourceConfig) else load(config)
    path = Path(text)
    if path.suffix.lower() == ".sql":
        from slo.source.sql import open_sql

        return open_sql(path, limits)
    # A pipe that nobody writes to, or a file on a disk that is gone, would be waited for without end.
    return Worker(str(path), limits, "leave out what is older").run(lambda: _of_file(path, limits))


def with_scheme(text: str, folder: Path = Path()) -> str:
    """`host:9090` as an address, unless the folder has such a file; any other text as it is."""
    is_host = HOST_AND_PORT.fullmatch(text.strip()) and not (folder / text).exists()
    return f"http://{text.strip()}" if is_host else text


def _of_file(path: Path, limits: SourceConfig) -> Source:
    from slo.source.recording import Recording, holds_counts

    if path.suffix.lower() == ".csv" or holds_counts(path):
        from slo.source.counted import CountSource

        return CountSource.open(path, limits.max_response_bytes)
    return Recording.open(path)


def open_all(texts: Sequence[str], *, config: str | os.PathLike[str] | None = None) -> Source:
    """One source of several addresses or paths: `SERVICE=ADDRESS` is for the SLOs of a service (or of `service/name`, with `*` for any
    text), the others for those whose series they have. Without any, the `sources` of the configuration file.

    A credential of the environment, or under `source` of the file, is for one server; of several each has its own under
    `sources`. Raises ConfigError, RecordingError.
    """
    from slo.source.config import sources
    from slo.source.several import combined

    if not texts:
        configured = sources(config)
        if not configured:
            raise ConfigError(
                "no source: give --source URL or FILE, set SLO_SOURCE, or name `sources` in the configuration file"
            )
        return combined([(named.of, _open(named.address, named.config)) for named in configured])
    pairs = [_named(text) for text in texts]
    servers = {address for _, address in pairs if _is_server(address)}
    if len(servers) > 1 and load(config).has_credentials:
        raise ConfigError(
            "a credential is set, and several servers are named: it would be sent to all of them; name the servers under `sources` in the "
            "configuration file, each with its own credential"
        )
    return combined([(of, _open(address, config)) for of, address in pairs])


def _named(text: str) -> tuple[str, str]:
    """The SLOs and the address of `SERVICE=ADDRESS`; of a plain address none."""
    of, equals, address = text.partition("=")
    if (
        equals
        and re.fullmatch(r"[A-Za-z0-9_.*?/-]+", of)
        and address
        and not Path(text).exists()
        and not _ADDRESS.match(of)
    ):
        return of, address
    return "", text


def _is_server(text: str) -> bool:
    return text.strip().lower().startswith(("http://", "https://")) or bool(
        HOST_AND_PORT.fullmatch(text.strip()) and not Path(text).exists()
    )


_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://")
# A scheme, whether right or not, or a user with a password.
_ADDRESS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*(:/|//)|:?//|[^/\s:]*:[^\s]*@)")


def _of_package(address: str, config: str | os.PathLike[str] | SourceConfig | None) -> Source:
    """The source of an installed package. Raises ConfigError where none has the scheme of the address, or it has none."""
    from slo.source.counted import CountSource
    from slo.suggest import suggest

    # What follows `?` and `#` may be a token.
    shown = (without_userinfo(address) if holds_userinfo(address) else address).partition("?")[0].partition("#")[0]
    match = _SCHEME.match(address)
    if match is None:
        raise ConfigError(
            f"{shown}: sources are addresses that begin with http:// or https://, and recordings or events on disk; there is "
            "none of this name"
        )
    scheme = match[1]
    known = plugins.installed(plugins.SOURCES)
    if scheme not in known:
        raise ConfigError(f"{shown}: no source for {scheme}://…{suggest(scheme, ['http', 'https', *known])}")
    try:
        limits = config if isinstance(config, SourceConfig) else load(config)
    except ConfigError:  # the file may be one of the package's own; the environment's times hold all the same
        limits = load(environ={name: text for name, text in os.environ.items() if name.startswith("SLO_TIMEOUT")})
    file = None if config is None or isinstance(config, SourceConfig) else os.fspath(config)
    make = plugins.load(known[scheme])
    source = LimitedSource(lambda: make(address, file), shown, limits)
    # What holds its events already has nothing more to ask for.
    return source.opened if isinstance(source.opened, CountSource) else source
