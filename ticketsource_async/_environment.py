"""Read the environment: the API key, and whether to show the log."""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ticketsource_async.errors import ConfigurationError

_KEY: Final = "TICKETSOURCE_API_KEY"
_KEY_FILE: Final = "TICKETSOURCE_API_KEY_FILE"
_MOST_BYTES: Final = 10_000
# A key may have quotes, spaces or the scheme of a header around it, or may be in the base64 form of `Basic`.
_MAY_HAVE_KEY: Final = re.compile(r"skl-|c2tsL|^\W*(bearer|basic)\b", re.IGNORECASE)
_MORE_THAN_A_KEY: Final = re.compile(rb"TICKETSOURCE_API_KEY|^['\"`]|['\"`]$|^(bearer|basic)\s", re.IGNORECASE)

_LOG: Final = logging.getLogger("ticketsource_async")
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO}
_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_ignored: set[str] = set()


def has_api_key() -> bool:
    """Say whether the environment has a key or names a file for it; an empty variable counts as not set."""
    return bool(os.environ.get(_KEY) or os.environ.get(_KEY_FILE))


def api_key() -> str:
    """Return the key from TICKETSOURCE_API_KEY or from the file that TICKETSOURCE_API_KEY_FILE names.

    Raises `ConfigurationError` if neither is set, both are set, or the file has no usable key.
    """
    file = os.environ.get(_KEY_FILE)
    if not file:
        if key := os.environ.get(_KEY):
            return key
        raise ConfigurationError(
            f"{_KEY} is not set: set it to the API key of the box office (skl-...), or {_KEY_FILE} to a file with it."
        )
    if os.environ.get(_KEY):
        raise ConfigurationError(f"{_KEY} and {_KEY_FILE} are both set: unset one of them.")
    key, wrong = _read(file)
    if not wrong:
        return key
    if _MAY_HAVE_KEY.search(file):
        del file  # a report of the error with locals would show it
        raise ConfigurationError(
            f"the file that {_KEY_FILE} names {wrong} Its name is not shown, since it looks like a key. "
            f"{_KEY_FILE} must be the name of a file. The key itself belongs in {_KEY}."
        )
    raise ConfigurationError(f"the file {file!r} that {_KEY_FILE} names {wrong}")


def _read(file: str) -> tuple[str, str]:
    """Return the key in a file, or what is wrong with the file. It never raises, because its locals hold the key."""
    try:
        with Path(file).open("rb") as opened:
            text = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        return "", f"cannot be read: {error.strerror}."
    except ValueError:
        return "", "cannot be read: its name has a null character."
    if len(text) > _MOST_BYTES:
        return "", f"is no file with a key: it has more than {_MOST_BYTES:,} bytes."
    found = text.removeprefix(b"\xef\xbb\xbf").strip()
    if _MORE_THAN_A_KEY.search(found):
        return "", "must have the key alone, without a name or quotes."
    if not re.fullmatch(rb"[\x21-\x7e]+", found):
        return "", "must have the API key in it, in one line, and nothing else." if found else "is empty."
    return found.decode(), ""


class _LogHandler(logging.Handler):
    """Write the log until the program sets up logging itself."""

    def __init__(self, write: Callable[[str], object]) -> None:
        super().__init__()
        self.write = write
        self.setFormatter(logging.Formatter(_FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or remove this handler if the program has set up logging."""
        if logging.getLogger().handlers:
            _LOG.removeHandler(self)
            _LOG.setLevel(logging.NOTSET)
            return
        try:
            self.write(self.format(record))
        except Exception:  # noqa: BLE001 - as in every handler, no call may fail because of its log
            self.handleError(record)


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def show_log(write: Callable[[str], object] | None = None) -> logging.Handler | None:
    """Write the log to stderr if TICKETSOURCE_LOG is set and the program has not set up logging.

    Returns the handler that was added, or None. `write` replaces stderr.
    """
    wanted = os.environ.get("TICKETSOURCE_LOG", "")
    level = _LEVELS.get(wanted.strip().lower())
    if level is None or _LOG.hasHandlers():
        if wanted and level is None and wanted not in _ignored:
            _ignored.add(wanted)
            _LOG.warning("TICKETSOURCE_LOG must be debug or info: %r is ignored.", wanted)
        return None
    handler = _LogHandler(write or _write)
    _LOG.addHandler(handler)
    _LOG.setLevel(level)
    return handler


@contextmanager
def showing_log(write: Callable[[str], object]) -> Iterator[None]:
    """Show the log as `show_log` does, while the body runs."""
    handler = show_log(write)
    try:
        yield
    finally:
        if handler is not None:
            _LOG.removeHandler(handler)
            _LOG.setLevel(logging.NOTSET)
