"""Where a ledger's files are: a folder, or an object store that pyarrow knows. Files appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from slo.errors import ConfigError
from slo.files import replaced
from slo.redact import hide_userinfo, looks_secret
from slo.source import objects


class Store(Protocol):
    """Files by their paths below one place, `/` between the parts."""

    def name(self, path: str) -> str:
        """A file as messages name it."""

    def read(self, path: str) -> bytes:
        """A file's content. Raises OSError."""

    def write(self, path: str, content: bytes) -> None:
        """Writes a file, whole or not at all. Raises OSError."""

    def paths(self, below: str, name: str) -> list[str]:
        """All files of a name in folders below a folder, sorted; none where it is not there. Raises OSError."""

    def folders(self, below: str) -> list[str]:
        """The names of the folders in a folder, sorted; none where it is not there. Raises OSError."""

    def present(self, paths: Sequence[str]) -> list[str]:
        """Those of some files that are there. Raises OSError."""


def store(place: str | os.PathLike[str]) -> Store:
    """The store at a path, or at an address such as `s3://bucket/ledger`. Raises ConfigError."""
    text = os.fspath(place)
    if "://" not in text:
        if looks_secret(text) and not os.path.lexists(text):
            raise ConfigError(
                "the ledger is a folder, or an address such as s3://bucket/ledger; what is given looks like a password or a token, and "
                "is not shown"
            )
        return Folder(Path(text))
    if objects.scheme_of(text) not in objects.SCHEMES:
        raise ConfigError(f"{shown(text)}: a ledger is a folder, or an address of {', '.join(objects.SCHEMES)}")
    filesystem, root = objects.opened(text, "a ledger")
    return Objects(filesystem, root, objects.shown(text))


def shown(place: str | os.PathLike[str]) -> str:
    """A ledger's place as messages name it: a path, or an address without what is said after `?`, which may be a key."""
    text = os.fspath(place)
    return objects.shown(text) if "://" in text else hide_userinfo(text)


class Folder:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def name(self, path: str) -> str:
        return str(self.folder / path)

    def read(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        with replaced(self.folder / path) as temporary:
            temporary.write_bytes(content)

    def paths(self, below: str, name: str) -> list[str]:
        return sorted(str(PurePosixPath(path.relative_to(self.folder))) for path in (self.folder / below).rglob(name))

    def folders(self, below: str) -> list[str]:
        place = self.folder / below
        return sorted(path.name for path in place.iterdir() if path.is_dir()) if place.is_dir() else []

    def present(self, paths: Sequence[str]) -> list[str]:
        return [path for path in paths if (self.folder / path).is_file()]


class Objects:
    """A file system of pyarrow's; an object there is whole once its stream is closed."""

    def __init__(self, filesystem: Any, root: str, shown: str) -> None:
        self._fs, self._root, self._shown = filesystem, root.rstrip("/"), shown

    def name(self, path: str) -> str:
        return f"{self._shown}/{path}"

    def read(self, path: str) -> bytes:
        with objects.named(self.name(path)), self._fs.open_input_stream(f"{self._root}/{path}") as stream:
            content: bytes = stream.read()
        return content

    def write(self, path: str, content: bytes) -> None:
        full = f"{self._root}/{path}"
        if self._fs.type_name == "local":
            Folder(Path(self._root)).write(path, content)
            return
        with objects.named(self.name(path)), self._fs.open_output_stream(full) as stream:
            stream.write(content)

    def paths(self, below: str, name: str) -> list[str]:
        from pyarrow import fs

        start = len(self._root) + 1
        infos = self._below(below, recursive=True)
        return sorted(info.path[start:] for info in infos if info.type == fs.FileType.File and info.base_name == name)

    def folders(self, below: str) -> list[str]:
        from pyarrow import fs

        infos = self._below(below, recursive=False)
        return sorted(info.base_name for info in infos if info.type == fs.FileType.Directory)

    def present(self, paths: Sequence[str]) -> list[str]:
        from pyarrow import fs

        with objects.named(self._shown):
            infos = self._fs.get_file_info([f"{self._root}/{path}" for path in paths])
        return [path for path, info in zip(paths, infos, strict=True) if info.type == fs.FileType.File]

    def _below(self, folder: str, recursive: bool) -> Any:
        from pyarrow import fs

        with objects.named(self._shown):
            chosen = fs.FileSelector(f"{self._root}/{folder}", recursive=recursive, allow_not_found=True)
            return self._fs.get_file_info(chosen)
