"""Where rows go: to stdout, to a pipe or device as it is, or to a file that appears when it is whole."""

import errno
import logging
import os
import pickle
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Generic, Self, TextIO, TypeVar

if TYPE_CHECKING or sys.platform != "win32":
    import fcntl

T = TypeVar("T")

_SCRATCH: Final = "ticketsource-scratch-"
_MARK: Final = ".ticketsource-"  # between the name of a file and the rest of that of its part, so that no other has one


_OF_THE_DISK: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

OnWarning = Callable[[str], object]
"""What is called with a sentence for the one who wanted the file."""


def log_warning(warning: str) -> None:
    """Log it, for programs that do not take warnings themselves."""
    logging.getLogger("ticketsource_async.files").warning("%s", warning)


def is_replaced(output: Path) -> bool:
    """Say whether a path names a file, and not stdout, a pipe or a device."""
    return str(output) != "-" and (output.is_file() or not output.exists())


def is_same_file(one: Path, other: Path) -> bool:
    """Say whether two outputs are one, also under other names and through links; - is stdout."""
    if one == other:
        return True
    try:
        return os.path.samestat(_status(one), _status(other))
    except (OSError, ValueError):  # one of them is not there yet, or stdout has no file
        return "-" not in (str(one), str(other)) and os.path.realpath(one) == os.path.realpath(other)


def _status(output: Path) -> os.stat_result:
    return os.fstat(sys.stdout.fileno()) if str(output) == "-" else output.stat()


@contextmanager
def opened(
    output: Path,
    encoding: str,
    on_warning: OnWarning = log_warning,
    *,
    chmod: Callable[[Path, int], None] = os.chmod,
) -> Iterator[TextIOWrapper]:
    """Yield a stream to stdout or to a file that takes its name only when all went well."""
    with (
        _naming("stdout" if str(output) == "-" else str(output)),
        _opened(output, encoding, on_warning, chmod) as stream,
    ):
        yield stream


@contextmanager
def _naming(output: str) -> Iterator[None]:
    """Let the error of a full disk have the name of the output."""
    try:
        yield
    except OSError as error:
        if error.errno in _OF_THE_DISK and error.filename is None:
            error.filename = output
        raise


@contextmanager
def _opened(
    output: Path, encoding: str, on_warning: OnWarning, chmod: Callable[[Path, int], None]
) -> Iterator[TextIOWrapper]:
    if str(output) == "-":
        if sys.stdout is None:
            raise OSError(errno.EBADF, "it is closed", "stdout")
        # Not sys.stdout itself, whose encoding and line ends are those of the terminal.
        stdout = _text_to(sys.stdout.buffer, encoding)
        try:
            yield stdout
        finally:
            stdout.detach()  # after flushing, so that the one who closes stdout is the interpreter
    elif not is_replaced(output):  # nothing to put in its place
        with output.open("wb") as device, _text_to(device, encoding) as stream:
            yield stream
    else:
        with _replacing(output, encoding, on_warning, chmod) as stream:
            yield stream


class _OnTerminal(TextIOWrapper):
    """A stream to a terminal, which must not obey what the API sends; lines and tabs stay."""

    def write(self, text: str) -> int:
        from ticketsource_async.models.values import visible  # noqa: PLC0415

        parts = re.split(r"(\t|\r?\n)", text)
        parts[::2] = map(visible, parts[::2])
        return super().write("".join(parts))


def _text_to(binary: BinaryIO, encoding: str) -> TextIOWrapper:
    """Return a stream that writes text to stdout or a device, as it is unless that is a terminal."""
    return (_OnTerminal if binary.isatty() else TextIOWrapper)(binary, encoding=encoding, newline="")


def check_writable(output: Path) -> None:
    """Raise the OSError of a file that cannot be written, before it is made; leave no file behind."""
    if is_replaced(output):
        try:
            with tempfile.TemporaryFile(dir=Path(os.path.realpath(output)).parent):
                pass
        except OSError as error:
            raise _not_written(output, error) from None


def _not_written(output: Path, error: OSError) -> OSError:
    folder = next((f for f in (output.parent, Path(os.path.realpath(output)).parent) if not f.is_dir()), None)
    return OSError(error.errno, error.strerror if folder is None else f"there is no folder {folder}", str(output))


@contextmanager
def _replacing(
    output: Path, encoding: str, on_warning: OnWarning, chmod: Callable[[Path, int], None]
) -> Iterator[TextIOWrapper]:
    """Yield a stream to a part of a file, which takes the place of the file when all went well."""
    target = Path(os.path.realpath(output))  # through a link, so that the link stays
    before = target.stat() if target.exists() else None
    _remove_left_parts(target)
    try:
        handle, part = _new_part(target)
    except OSError as error:  # with the name of the part
        raise _not_written(output, error) from None
    lock = None if sys.platform == "win32" else os.dup(handle)  # to hold the lock until the part is no more
    try:
        with os.fdopen(handle, "w", encoding=encoding, newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # Readable by nobody else, as it holds people's addresses, unless the file that it replaces is.
        mode = 0o600 if before is None else stat.S_IMODE(before.st_mode)
        try:
            if stat.S_IMODE(part.stat().st_mode) != mode:
                chmod(part, mode)
        except OSError as error:
            on_warning(f"Check who may read {output}: its mode cannot be set to {mode:03o} ({error.strerror}).")
        _replace(output, target, part)
    except Exception as error:
        if before is not None:
            written = datetime.fromtimestamp(before.st_mtime).astimezone()
            error.add_note(f"{output} is still the old one, of {written:%Y-%m-%d %H:%M}.")
        raise
    finally:
        part.unlink(missing_ok=True)
        if lock is not None:
            os.close(lock)


def _new_part(target: Path) -> tuple[int, Path]:
    """Make the part of a file, with a lock that tells as long as it is open that somebody writes it."""
    while True:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}{_MARK}", suffix=".part")
        if _lock(handle) and (part := Path(name)).exists():
            return handle, part
        os.close(handle)  # another run has taken it for one that was left, and removes it


def _lock(handle: int) -> bool:
    """Lock a file as long as it is open; return False if another has locked it."""
    if sys.platform != "win32":  # where nobody can remove a file that is open
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # this file system has no locks, so no part of a file is removed there
    return True


def _remove_left_parts(target: Path) -> None:
    """Remove what runs to the same name have left that were killed, unless somebody still writes it."""
    left = re.compile(rf"{re.escape(target.name + _MARK)}[a-z0-9_]{{8}}\.part")
    with suppress(OSError):  # a folder that cannot be listed
        for part in target.parent.iterdir():
            if left.fullmatch(part.name) and part.is_file() and not part.is_symlink():
                with suppress(OSError):  # it is locked, gone already, or another user's
                    _remove_unlocked(part)


def _remove_unlocked(part: Path) -> None:
    if sys.platform == "win32":
        part.unlink()
        return
    handle = os.open(part, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        part.unlink()
    finally:
        os.close(handle)


def _replace(output: Path, target: Path, part: Path) -> None:
    """Give a part the name of the file; if that cannot be, keep it under another name, which the error tells."""
    try:
        part.replace(target)
    except OSError as error:
        mark = part.name.removeprefix(target.name + _MARK).removesuffix(".part")
        kept = part.rename(target.with_name(f"{target.stem}.{mark}{target.suffix}"))
        failure = OSError(error.errno, error.strerror, str(output))
        failure.add_note(
            f"The new file is complete and stays as {output.with_name(kept.name)}: close the program that has "
            f"{output.name} open, then rename it."
        )
        raise failure from None


@contextmanager
def assembled(stream: TextIO) -> Iterator[Path]:
    """Yield a path to write a file to, which is copied to the `buffer` of the stream when all went well.

    So a pipe gets a whole file or nothing, and formats may go back to what they have written. The folder of the path is
    free for what a format must lay aside; nobody else can read it, and it is removed at the end. It is in the system's
    folder for such files, TMPDIR. What runs have left there that were killed is removed first.
    """
    _remove_left_folders()
    with tempfile.TemporaryDirectory(prefix=_SCRATCH) as folder:
        handle = None if sys.platform == "win32" else os.open(folder, os.O_RDONLY)
        try:
            if handle is not None:
                _lock(handle)
            file = Path(folder) / "file"
            try:
                yield file
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    where = tempfile.gettempdir()
                    error.add_note(f"The file is put together in {where}; TMPDIR can name a folder with more space.")
                raise
            with file.open("rb") as made:
                shutil.copyfileobj(made, stream.buffer)
        finally:
            if handle is not None:
                os.close(handle)


def _remove_left_folders() -> None:
    if sys.platform == "win32":  # where no lock tells whether somebody still writes there
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        with suppress(OSError):  # it is in use, gone already, or another user's
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(handle)


class Spool(Generic[T]):
    """Items that wait on the disk, in a temporary file without a name.

    It is gone when the block or the process ends.
    """

    def __enter__(self) -> Self:
        self._file = tempfile.TemporaryFile()
        self._end = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, item: T) -> int:
        """Add an item, and return its place."""
        place = self._file.seek(self._end)
        pickle.dump(item, self._file)
        self._end = self._file.tell()
        return place

    def get(self, place: int) -> T:
        """Return the item at a place."""
        self._file.seek(place)
        item: T = pickle.load(self._file)  # noqa: S301 - of what this process has written
        return item

    def __iter__(self) -> Iterator[T]:
        place = 0
        while place < self._end:
            item = self.get(place)
            place = self._file.tell()
            yield item
