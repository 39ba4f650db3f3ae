"""Open the output for rows: stdout, a pipe or a device directly, or a file that appears when it is complete."""

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
_MARK: Final = ".ticketsource-"  # in the name of a temporary file, between the name of the output and a random text


_DISK_ERRORS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

OnWarning = Callable[[str], object]
"""The function that gets a sentence for the user of the file."""


def log_warning(warning: str) -> None:
    """Log a warning. This is the default for programs without an `on_warning` of their own."""
    logging.getLogger("ticketsource_async.files").warning("%s", warning)


def is_replaced(output: Path) -> bool:
    """Say whether a path names a file, and not stdout, a pipe or a device."""
    return str(output) != "-" and (output.is_file() or not output.exists())


def is_same_file(one: Path, other: Path) -> bool:
    """Say whether two outputs are the same file, also by another name or through a link. "-" is stdout."""
    if one == other:
        return True
    try:
        return os.path.samestat(_status(one), _status(other))
    except (OSError, ValueError):  # one of them does not exist yet, or stdout has no file
        return "-" not in (str(one), str(other)) and os.path.realpath(one) == os.path.realpath(other)


def _status(output: Path) -> os.stat_result:
    return os.fstat(sys.stdout.fileno()) if str(output) == "-" else output.stat()


@contextmanager
def open_output(
    output: Path,
    encoding: str,
    on_warning: OnWarning = log_warning,
    *,
    chmod: Callable[[Path, int], None] = os.chmod,
) -> Iterator[TextIOWrapper]:
    """Yield a stream to stdout, or to a file that gets its name only if nothing failed."""
    with (
        _with_name("stdout" if str(output) == "-" else str(output)),
        _opened(output, encoding, on_warning, chmod) as stream,
    ):
        yield stream


@contextmanager
def _with_name(output: str) -> Iterator[None]:
    """Add the name of the output to the error of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_ERRORS and error.filename is None:
            error.filename = output
        raise


@contextmanager
def _opened(
    output: Path, encoding: str, on_warning: OnWarning, chmod: Callable[[Path, int], None]
) -> Iterator[TextIOWrapper]:
    if str(output) == "-":
        if sys.stdout is None:
            raise OSError(errno.EBADF, "it is closed", "stdout")
        # sys.stdout itself has the encoding and the line ends of the terminal.
        stdout = _text_to(sys.stdout.buffer, encoding)
        try:
            yield stdout
        finally:
            stdout.detach()  # after the flush; the interpreter closes stdout
    elif not is_replaced(output):  # a pipe or a device cannot be replaced
        with output.open("wb") as device, _text_to(device, encoding) as stream:
            yield stream
    else:
        with _replacing(output, encoding, on_warning, chmod) as stream:
            yield stream


class _TerminalStream(TextIOWrapper):
    """A stream to a terminal, without control characters that the API sends. Line ends and tabs stay."""

    def write(self, text: str) -> int:
        from ticketsource_async.models.values import escape_controls  # noqa: PLC0415 - only a terminal needs the models

        parts = re.split(r"(\t|\r?\n)", text)
        parts[::2] = map(escape_controls, parts[::2])
        return super().write("".join(parts))


def _text_to(binary: BinaryIO, encoding: str) -> TextIOWrapper:
    """Return a text stream to stdout or a device. It changes the text only for a terminal."""
    return (_TerminalStream if binary.isatty() else TextIOWrapper)(binary, encoding=encoding, newline="")


def check_writable(output: Path) -> None:
    """Raise OSError if the file cannot be written. No file is left behind."""
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
    """Yield a stream to a temporary file, which replaces the output if nothing failed."""
    target = Path(os.path.realpath(output))  # replace the target of a link, not the link
    before = target.stat() if target.exists() else None
    _remove_abandoned_parts(target)
    try:
        handle, part = _new_part(target)
    except OSError as error:  # the error has the name of the temporary file
        raise _not_written(output, error) from None
    lock = None if sys.platform == "win32" else os.dup(handle)  # holds the lock until the temporary file is gone
    try:
        with os.fdopen(handle, "w", encoding=encoding, newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # Only the owner can read the file, since it has people's addresses. If it replaces a file, it gets that mode.
        mode = 0o600 if before is None else stat.S_IMODE(before.st_mode)
        try:
            if stat.S_IMODE(part.stat().st_mode) != mode:
                chmod(part, mode)
        except OSError as error:
            on_warning(f"The mode of {output} cannot be set to {mode:03o} ({error.strerror}): check who may read it.")
        _replace(output, target, part)
    except Exception as error:
        if before is not None:
            written = datetime.fromtimestamp(before.st_mtime).astimezone()
            error.add_note(f"{output} is unchanged: it is still the file of {written:%Y-%m-%d %H:%M}.")
        raise
    finally:
        part.unlink(missing_ok=True)
        if lock is not None:
            os.close(lock)


def _new_part(target: Path) -> tuple[int, Path]:
    """Make the temporary file of an output. Its lock shows other runs that it is still being written."""
    while True:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}{_MARK}", suffix=".part")
        if _lock(handle) and (part := Path(name)).exists():
            return handle, part
        os.close(handle)  # another run took it for an abandoned one and removes it


def _lock(handle: int) -> bool:
    """Lock a file while it is open; return False if another process has locked it."""
    if sys.platform != "win32":  # Windows does not remove open files
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # this file system has no locks, so no temporary file is removed there
    return True


def _remove_abandoned_parts(target: Path) -> None:
    """Remove the temporary files that killed runs left for the same output, except those still being written."""
    left = re.compile(rf"{re.escape(target.name + _MARK)}[a-z0-9_]{{8}}\.part")
    with suppress(OSError):  # the folder may be unreadable
        for part in target.parent.iterdir():
            if left.fullmatch(part.name) and part.is_file() and not part.is_symlink():
                with suppress(OSError):  # it may be locked, gone, or owned by another user
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
    """Rename a temporary file to the output. If that fails, keep it under another name, which the error says."""
    try:
        part.replace(target)
    except OSError as error:
        mark = part.name.removeprefix(target.name + _MARK).removesuffix(".part")
        renamed = part.rename(target.with_name(f"{target.stem}.{mark}{target.suffix}"))
        failure = OSError(error.errno, error.strerror, str(output))
        failure.add_note(
            f"The new file is complete and stays as {output.with_name(renamed.name)}: close the program that has "
            f"{output.name} open, then rename it."
        )
        raise failure from None


@contextmanager
def temporary_file_for(stream: TextIO) -> Iterator[Path]:
    """Yield a path to write a file to. If nothing fails, the file is copied to the `buffer` of the stream.

    So a pipe gets a complete file or nothing, and a format can rewrite earlier parts. A format may put other temporary
    files in the folder of the path. Nobody else can read the folder, and it is removed at the end. It is in the
    system's folder for temporary files, TMPDIR. Folders that killed runs left there are removed first.
    """
    _remove_abandoned_folders()
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
                    error.add_note(f"The file is made in {where} first. Set TMPDIR to a folder with more space.")
                raise
            with file.open("rb") as made:
                shutil.copyfileobj(made, stream.buffer)
        finally:
            if handle is not None:
                os.close(handle)


def _remove_abandoned_folders() -> None:
    if sys.platform == "win32":  # Windows has no lock that shows whether a folder is in use
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        with suppress(OSError):  # it may be in use, gone, or owned by another user
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(handle)


class Spool(Generic[T]):
    """A list of items on the disk, in a temporary file without a name.

    The file is deleted when the block or the process ends.
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
        item: T = pickle.load(self._file)  # noqa: S301 - this process has written it
        return item

    def __iter__(self) -> Iterator[T]:
        place = 0
        while place < self._end:
            item = self.get(place)
            place = self._file.tell()
            yield item
