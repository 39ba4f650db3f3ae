"""Real servers that tests start for themselves, each on free ports of this machine and in a folder of its own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def need(program: str) -> str:
    """Return where a program is; skip the test where it is not installed, or fail where all have to be."""
    # Debian's /usr/sbin/rabbitmq-server is a wrapper that changes the user and minds no settings, and its PostgreSQL is
    # in no PATH.
    folders = ["/usr/lib/rabbitmq/bin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    if found := shutil.which(program, path=os.pathsep.join(folders)) or shutil.which(program):
        return found
    if os.environ.get("EVERY_SERVER_IS_HERE"):
        pytest.fail(f"{program} is not installed, though .ci/run should have done so")
    pytest.skip(f"{program} is not installed: this test starts its own")


def wait_until_it_answers(name: str, ask: Callable[[], object]) -> None:
    """Return when the question raises nothing any more."""
    for _ in range(600):
        with suppress(Exception):
            ask()
            return
        time.sleep(0.1)
    raise AssertionError(f"{name} does not answer")


class RedisServer:
    """A Redis without anything on disk."""

    def __init__(self, folder: Path) -> None:
        self._program = need("redis-server")
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, and return when it answers."""
        where = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder))
        self.process = subprocess.Popen([self._program, *where, "--save", ""], stdout=subprocess.DEVNULL)
        wait_until_it_answers("redis-server", lambda: self.ask().ping())

    def stop(self) -> None:
        """End it at once."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def ask(self) -> Redis:
        """Return a client."""
        return Redis(port=self.port, socket_timeout=1)


class PostgresServer:
    """A PostgreSQL with one empty database."""

    def __init__(self) -> None:
        port = free_port()
        folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # it may not run as root, and must reach its folder
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            shutil.chown(folder, user)
        quiet: Any = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(
            [need("initdb"), "-D", folder / "data", "-A", "trust", "-U", "postgres", "-N"], check=True, **quiet
        )
        settings = ("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k", str(folder))
        self._process = subprocess.Popen(
            [need("postgres"), "-D", folder / "data", "-p", str(port), *settings], start_new_session=True, **quiet
        )
        self._folder = folder
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        wait_until_it_answers("postgres", lambda: psycopg.connect(self.url).close())

    def stop(self) -> None:
        """End it at once."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()
        shutil.rmtree(self._folder)


class RabbitServer:
    """A RabbitMQ with nobody else's settings."""

    def __init__(self, folder: Path) -> None:
        port, between, names = free_port(), free_port(), free_port()
        settings = {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"test{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(between),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "config"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "env"),
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        (folder / "plugins").write_text("[].")
        self.url = f"amqp://guest:guest@127.0.0.1:{port}/"
        # Its names server is started here, since it would start one that outlives it.
        self._processes = [
            subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], **settings},
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # it is several processes
            )
            for command in ([need("epmd")], [need("rabbitmq-server")])
        ]
        wait_until_it_answers("rabbitmq-server", lambda: _greets(port))

    def stop(self) -> None:
        """End it at once."""
        for process in self._processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _greets(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        assert connection.recv(7)
