"""Files that are written whole or not at all."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Generator
from pathlib import Path

from underpaint.errors import OutputError

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "your disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file would be larger than this system allows; choose another folder",
    errno.EROFS: "that disk is read-only; choose another folder",
    errno.EACCES: "you may not write there; choose another folder",
    errno.EPERM: "you may not write there; choose another folder",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ENOENT: "the folder does not exist; make it first or choose another",
    errno.ENOTDIR: "a part of that path is a file and not a folder; choose another folder",
    errno.EISDIR: "it is a folder; name a file in it",
    errno.ELOOP: "its links lead back to themselves; choose another name",
}


def check_destination(path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Refuses a place that cannot be written to, so that this is known before the work is done.

    Raises:
        OutputError: A folder, device or existing file is there, or the folder is missing or closed.
    """
    place = Path(path)
    with _refusals(place):
        _refuse_what_is_there(place, overwrite=overwrite)
        folder = place.parent
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "not a folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "no permission")


def check_source_stays(
    path: str | os.PathLike[str], source: str | os.PathLike[str], *, what: str = "source"
) -> None:
    """Makes sure that a place is not the source, by another name either.

    Args:
        path: The place.
        source: The source's.
        what: What to call it in the sentence.

    Raises:
        OutputError: It is. A result without its source cannot be rendered again, and that may be the only one.
    """
    if os.path.realpath(path) == os.path.realpath(source):
        raise OutputError(
            f"{os.fspath(path)!r} is the {what}, which is never written over; choose another place"
        )


def write_atomically(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = False) -> None:
    """Writes ``data`` to ``path`` as a whole or not at all.

    The bytes go to a file without a name (on Linux; it is gone with a killed process) or to a hidden
    one beside it, reach the disk, and only then take the name. Without ``overwrite`` an existing file
    is never replaced, whoever made it and whenever.

    Raises:
        OutputError: It cannot be written there; nothing is left behind.
    """
    place = Path(path)
    with _refusals(place):
        _refuse_what_is_there(place, overwrite=overwrite)
        if overwrite and place.is_symlink():
            place = place.resolve()  # replace what the link names, and keep the link
        hidden = place.with_name(f".underpaint-{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            if not _write_nameless(data, hidden if overwrite else place):
                _write_to_disk(hidden, data)
                if not overwrite:
                    _take_free_name(hidden, place)
            if overwrite:
                hidden.replace(place)
        finally:
            hidden.unlink(missing_ok=True)
        _flush_folder(place.parent)


def _refuse_what_is_there(place: Path, *, overwrite: bool) -> None:
    try:
        mode = place.stat().st_mode
    except FileNotFoundError:
        if place.is_symlink():  # to what is not there
            if not overwrite:
                raise FileExistsError(errno.EEXIST, "exists") from None
            place.resolve().parent.stat()
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "a folder")
    if not stat.S_ISREG(mode):
        raise OutputError(f"cannot write {_shown(place)}: it is a device or a pipe; name a file")
    if not overwrite:
        raise FileExistsError(errno.EEXIST, "exists")


def _write_nameless(data: bytes, place: Path) -> bool:
    """Writes a file that has no name until it is whole; False where the system has no such files."""
    flag = getattr(os, "O_TMPFILE", 0)
    try:
        nameless = os.open(place.parent, flag | os.O_WRONLY, 0o666)
    except OSError:
        return False
    try:
        with os.fdopen(nameless, "wb", closefd=False) as file:
            file.write(data)
            file.flush()
            os.fsync(nameless)
        # With a descriptor given, Python calls linkat, which alone can name such a file (open(2));
        # beside a whole path it means nothing else.
        os.link(f"/proc/self/fd/{nameless}", place, src_dir_fd=nameless, follow_symlinks=True)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        return False
    finally:
        os.close(nameless)
    return True


def _write_to_disk(hidden: Path, data: bytes) -> None:
    with hidden.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _take_free_name(hidden: Path, place: Path) -> None:
    """Gives the file its name, unless something has that name by now."""
    try:
        place.hardlink_to(hidden)
    except FileExistsError:
        raise
    except OSError:  # no hard links on this file system: claim the name with an empty file
        place.open("xb").close()
        try:
            hidden.replace(place)
        except BaseException:
            place.unlink()
            raise


def _flush_folder(folder: Path) -> None:
    """Makes the new name last through a power cut, where the system can do that."""
    with contextlib.suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


@contextlib.contextmanager
def _refusals(place: Path) -> Generator[None]:
    """Turns the system's errors into one sentence."""
    try:
        yield
    except FileExistsError:
        raise OutputError(
            f"{_shown(place)} exists already; choose another name or allow overwriting"
        ) from None
    except ValueError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{_shown(place)} is no name a file can have; choose another") from error
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}; choose another folder")
        raise OutputError(f"cannot write {_shown(place)}: {reason}") from error


def _shown(place: Path) -> str:
    return repr(str(place))
