"""Things in a folder that are no regular files, made by the tests."""

import os
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final


def _socket(path: Path) -> None:
    # It is bound under a short path, since the path of a socket has at most about a hundred bytes.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as made:
        made.bind(f"{folder}/s")
        Path(f"{folder}/s").rename(path)


def _device(path: Path) -> None:
    # It discards what is written, as /dev/null does. A change to it changes no other device.
    os.mknod(path, stat.S_IFCHR | 0o644, os.makedev(1, 3))


NODES: Final[dict[str, Callable[[Path], None]]] = {
    "folder": lambda path: path.mkdir(0o755),
    "link to a folder": lambda path: path.symlink_to(path.parent),
    "pipe": lambda path: os.mkfifo(path, 0o644),
    "socket": _socket,
    **({"device": _device} if os.geteuid() == 0 else {}),  # only root can make a device, and only root could damage one
}
