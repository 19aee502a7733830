"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name beside `path`; what was written there takes its place at the end, and goes on any failure.

    The folder is made where it is missing. Raises OSError.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".new", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes UTF-8 text whole or not at all. Raises OSError."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_pages(folder: str | os.PathLike[str], texts: Mapping[str, str]) -> None:
    """Writes texts by their names below a folder, in their order; then removes the pages of its `slos` that are none of them.

    Each file appears whole or not at all; an index that comes last never names a page that is not there. Raises OSError.
    """
    place = Path(folder)
    for name, text in texts.items():
        write_text(place / name, text)
    for page in (place / "slos").glob("slo-*.html"):
        if f"slos/{page.name}" not in texts:
            page.unlink()
    with suppress(OSError):
        (place / "slos").rmdir()  # where nothing is left in it
