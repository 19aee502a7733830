"""Files that appear whole or not at all, and nothing that is not a file is destroyed for one."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from slo.redact import is_word, looks_secret

_SUFFIX = ".slo-new"
_SUFFIXES = (".parquet", ".csv", ".sql", ".yaml", ".yml", ".json")  # of what is read
MOST_BYTES = (64 << 20) + 1  # a byte more than any file of ours may have, so that it is refused
_MOST_LINKS = 40  # as many as Linux follows


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name; what was written there becomes the content of `path` at the end, and goes on any failure.

    A regular file is replaced in one step, with its permissions kept, and a link's target in place of the link; devices,
    pipes and this process's own descriptors (`/dev/stdout`) are written to. The folder is made where it is missing, and
    what killed runs left behind for this file is removed. Raises OSError, for a folder too.
    """
    place = _resolved(Path(path))
    if isinstance(place, int) or _is_special(place):
        with tempfile.TemporaryDirectory(prefix="slo-") as folder:
            temporary = Path(folder) / "new"
            temporary.touch()
            yield temporary
            with _named(path):
                _copy(temporary, place)
        return
    if place.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    place.parent.mkdir(parents=True, exist_ok=True)
    with _named(path):
        _remove_leftovers(place)
        handle, temporary = _new_alongside(place)
        try:
            yield temporary
            temporary.chmod(_mode_of(place))
            # What was written may have come by another descriptor of the same file.
            os.fsync(handle)
            temporary.replace(place)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        _sync_folder(place.parent)


@contextmanager
def alone_in(folder: Path) -> Iterator[bool]:
    """Whether no other process is within this for the same folder, which is made where it is missing; it ends with the
    process, however that ends. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        alone = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            alone = False
        except OSError:  # a file system without locks
            pass
        yield alone
    finally:
        os.close(handle)


def read_up_to(path: str | os.PathLike[str], most: int = MOST_BYTES) -> bytes:
    """A file's content, cut where it is larger: a device such as /dev/zero has no end. Raises OSError."""
    with open(path, "rb") as file:  # noqa: PTH123 - of a path that may be a descriptor's
        return file.read(most)


def read_text(path: str | os.PathLike[str]) -> str:
    """A file's text, cut as `read_up_to` does; UTF-8, with any ends of lines. Raises OSError, UnicodeDecodeError."""
    return io.TextIOWrapper(io.BytesIO(read_up_to(path)), encoding="utf-8-sig").read()


def write_text(path: str | os.PathLike[str], text: str | Iterable[str]) -> None:
    """Writes UTF-8 text, or the pieces of one as they are made, whole or not at all. Raises OSError."""
    with replaced(path) as temporary, temporary.open("wb") as file:
        for piece in (text,) if isinstance(text, str) else text:
            # A lone surrogate, as of a file name that is not UTF-8, is not text: it is written as `?`.
            file.write(piece.encode("utf-8", errors="replace"))


def write_pages(folder: str | os.PathLike[str], texts: Mapping[str, str], written: Collection[str] = ()) -> None:
    """Writes texts by their names below a folder, in their order; then removes the pages of its `slos` that are none of them.

    Those of `written` are there already. Each file appears whole or not at all; an index that comes last never names a page that is not there. Raises OSError.
    """
    place = Path(folder)
    for name in texts:
        if name not in written:
            write_text(place / name, texts[name])
    for pattern in ("slo-*.html", "service-*.html", "services.html"):
        for page in (place / "slos").glob(pattern):
            if f"slos/{page.name}" not in texts:
                page.unlink()
    with suppress(OSError):
        (place / "slos").rmdir()  # where nothing is left in it


@contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Within it, a failure to write names the file that was to be written: a full disk names none, pyarrow only what it did,
    and the temporary file is nobody's."""
    try:
        yield
    except OSError as error:
        if error.errno is None or not (error.filename is None or str(error.filename).endswith(_SUFFIX)):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def _resolved(path: Path) -> Path | int:
    """Where a path leads, through all links; a number where that is a descriptor of this process. Raises OSError."""
    descriptors = f"/proc/{os.getpid()}/fd"
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(path.parent)
        if folder == descriptors and path.name.isdecimal():
            return int(path.name)
        path = Path(folder) / path.name
        if not path.is_symlink():
            return path
        path = path.parent / os.readlink(path)  # noqa: PTH115 - one link at a time, as it is written
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _is_special(path: Path) -> bool:
    """Whether there is something that is neither a file nor a folder."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _copy(temporary: Path, place: Path | int) -> None:
    # Never made: a device or a pipe that has gone meanwhile does not become a file.
    out = os.dup(place) if isinstance(place, int) else os.open(place, os.O_WRONLY | os.O_NOCTTY)
    with temporary.open("rb") as source, open(out, "wb") as target:  # noqa: PTH123 - of a descriptor
        shutil.copyfileobj(source, target)


def _new_alongside(place: Path) -> tuple[int, Path]:
    """A new file alongside `place`, locked for as long as its descriptor is open, so that others know that it is in use."""
    while True:
        handle, name = tempfile.mkstemp(prefix=_prefix(place), suffix=_SUFFIX, dir=place.parent)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # another run took it for a leftover before it was locked


def _remove_leftovers(place: Path) -> None:
    """Removes the temporary files of runs that were killed: those that nobody holds a lock on."""
    pattern = re.compile(re.escape(_prefix(place)) + r"[a-z0-9_]{8}" + re.escape(_SUFFIX))
    with os.scandir(place.parent) as entries:
        names = [entry.name for entry in entries if pattern.fullmatch(entry.name)]
    for name in names:
        with suppress(OSError):
            handle = os.open(place.parent / name, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (place.parent / name).unlink()
            finally:
                os.close(handle)


def _prefix(place: Path) -> str:
    # A name may have 255 bytes, of which the rest of a temporary one needs some.
    return "." + os.fsencode(place.name)[:150].decode(errors="ignore") + "."


def _mode_of(place: Path) -> int:
    """The permissions of the file that is replaced, or those of a new one."""
    try:
        return stat.S_IMODE(place.stat().st_mode) & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Makes a new name last through a crash of the machine, where the file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def reads_as_path(text: str, folder: str | os.PathLike[str] = ".") -> bool:
    """Whether a text that should be a path, as seen from a folder, is one by what is there or by its look, so that a message
    may name it. Of others nothing is shown: where a path belongs, a password is written now and then."""
    place = Path(folder) / text
    if os.path.lexists(place):
        return True
    if looks_secret(text):
        return False
    named = place.suffix.lower() in _SUFFIXES or all(
        is_word(part) or part in ("", ".", "..") for part in text.split("/")
    )
    return named or ("/" in text and place.parent.is_dir())
