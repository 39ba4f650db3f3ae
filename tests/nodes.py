"""What a name in a folder can be that is no regular file, made by the test itself."""

import os
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final


def _socket(path: Path) -> None:
    # Bound under a short name, since that of a socket has at most some hundred bytes.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as made:
        made.bind(f"{folder}/s")
        Path(f"{folder}/s").rename(path)


def _device(path: Path) -> None:
    # What is written to it is gone, as with /dev/null; what is done to it is done to no other.
    os.mknod(path, stat.S_IFCHR | 0o644, os.makedev(1, 3))


NODES: Final[dict[str, Callable[[Path], None]]] = {
    "folder": lambda path: path.mkdir(0o755),
    "link to a folder": lambda path: path.symlink_to(path.parent),
    "pipe": lambda path: os.mkfifo(path, 0o644),
    "socket": _socket,
    **({"device": _device} if os.geteuid() == 0 else {}),  # root alone can make one, and could harm one
}
