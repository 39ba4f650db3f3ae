"""Real servers for tests, each on free ports of this machine and in its own folder."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
from psycopg import sql
from redis import Redis

T = TypeVar("T")


def free_port() -> int:
    """Return a free port."""
    return free_ports(1)[0]


def free_ports(number: int) -> list[int]:
    """Return different free ports."""
    with ExitStack() as held:
        found = [held.enter_context(socket.socket()) for _ in range(number)]
        for free in found:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in found]


def need(program: str) -> str:
    """Return the path of a program. If it is not installed, skip the test, or fail if all programs are required."""
    # Debian's /usr/sbin/rabbitmq-server is a wrapper that changes the user and ignores settings. Debian's PostgreSQL is
    # in no PATH.
    folders = ["/usr/lib/rabbitmq/bin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    if found := shutil.which(program, path=os.pathsep.join(folders)) or shutil.which(program):
        return found
    if os.environ.get("EVERY_SERVER_IS_HERE"):
        pytest.fail(f"{program} is not installed, though .ci/run should have done so")
    pytest.skip(f"{program} is not installed: this test starts its own")


class CannotStart(Exception):
    """A server did not start. The message has the end of its log."""


class Program:
    """The processes of one server. They write to a log."""

    def __init__(
        self,
        folder: Path,
        *commands: list[str],
        answers: Callable[[], object],
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        patience: float = 60,
    ) -> None:
        """Start the processes one after another, and return when `answers` does not raise any more.

        Raises CannotStart, with all processes ended, if one of them ends or after `patience` seconds. It calls
        `answers` at least once, unless a process has ended.
        """
        self._log = folder / "log.txt"
        self.processes: list[subprocess.Popen[bytes]] = []
        try:
            with self._log.open("wb") as log:
                for command in commands:
                    self.processes.append(
                        subprocess.Popen(
                            command,
                            cwd=folder,
                            env=env,
                            user=user,
                            stdin=subprocess.DEVNULL,
                            stdout=log,
                            stderr=log,
                            start_new_session=True,  # a server may have several processes
                        )
                    )
            self._wait(answers, time.monotonic() + patience)
        except BaseException:
            self.kill()
            raise

    def _wait(self, answers: Callable[[], object], until: float) -> None:
        while True:
            late = time.monotonic() > until
            ended = [process.args for process in self.processes if process.poll() is not None]
            if not ended:
                with suppress(Exception):
                    answers()
                    return
            if ended or late:
                what = f"{ended[0]!r} ended" if ended else f"{self.processes[-1].args!r} does not answer"
                raise CannotStart(f"{what}. It said:\n{self._log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> None:
        """End the first process by a signal that allows it to clean up. If that takes long, kill all processes."""
        self.processes[0].send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            self.processes[0].wait(10)
        self.kill()

    def kill(self) -> None:
        """Kill all processes."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


# The messages of servers whose port is taken. The last two are of RabbitMQ and its names server.
PORT_IS_TAKEN = ("in use", "eaddrinuse", "port_already_used", "already a epmd running")


def on_a_free_port(start: Callable[[], T]) -> T:
    """Start a server. If another program has taken its port meanwhile, try up to four more times."""
    for _ in range(4):
        try:
            return start()
        except CannotStart as error:
            if not any(words in str(error).lower() for words in PORT_IS_TAKEN):
                raise
    return start()


class RedisServer:
    """A Redis that stores nothing on disk."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self._folder, self._settings = folder, settings
        on_a_free_port(self._start_anywhere)
        self.url = f"redis://127.0.0.1:{self.port}"

    def _start_anywhere(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Start the server, and return when it answers."""
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        command = [need("redis-server"), *where, *self._settings]
        self._program = Program(self._folder, command, answers=lambda: self.ask().ping())

    def stop(self) -> None:
        """End it at once."""
        self._program.kill()

    def freeze(self) -> None:
        """Stop its work, but keep its connections open."""
        self._program.processes[0].send_signal(signal.SIGSTOP)

    def ask(self, database: int = 0) -> Redis:
        """Return a client."""
        return Redis(port=self.port, db=database, socket_timeout=1)


class PostgresServer:
    """A PostgreSQL with one empty database."""

    def __init__(self) -> None:
        programs = need("initdb"), need("postgres")
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # PostgreSQL cannot run as root, but needs it
        try:
            on_a_free_port(lambda: self._start(*programs))
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    def _start(self, initdb: str, postgres: str) -> None:
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            shutil.chown(self._folder, user)
        data, port = self._folder / "data", free_port()
        if not data.exists():
            made = subprocess.run(
                [initdb, "-D", data, "-A", "trust", "-U", "postgres", "-N"],
                user=user,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if made.returncode:
                raise CannotStart(f"initdb ended with {made.returncode}. It said:\n{made.stdout}{made.stderr}")
        settings = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k", str(self._folder)]
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        self._program = Program(
            self._folder,
            [postgres, "-D", str(data), "-p", str(port), *settings],
            user=user,
            answers=lambda: psycopg.connect(self.url).close(),
        )

    def drop(self, *schemas: str) -> None:
        """Drop schemas with their contents."""
        with psycopg.connect(self.url) as connection:
            for schema in schemas:
                connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))

    def stop(self) -> None:
        """End the server with its children and shared memory, and delete its folder."""
        self._program.end(signal.SIGQUIT)
        shutil.rmtree(self._folder)


class RabbitServer:
    """A RabbitMQ with its own settings."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        on_a_free_port(self._start)

    def _start(self) -> None:
        folder = self._folder
        port, between, names = free_ports(3)
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
        # RabbitMQ would start a names server that outlives it, so one is started here. Without -d it does not print why
        # it ends.
        self._program = Program(
            folder,
            [need("epmd"), "-d"],
            [need("rabbitmq-server")],
            env={"PATH": os.environ["PATH"], **settings},
            answers=lambda: _greets(port),
        )

    def stop(self) -> None:
        """End it at once."""
        self._program.kill()


def _greets(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        assert connection.recv(7)


class TrytonServer:
    """A Tryton with the module for parties, in a SQLite file."""

    PASSWORD = "tryton-sample"

    def __init__(self, database: Path, folder: Path) -> None:
        """Start the server with a copy of a new database."""
        self.password_file = database.with_name("password")
        self._folder = folder / "tryton"
        self._folder.mkdir()
        shutil.copy(database, self._folder)
        on_a_free_port(self._start)

    @staticmethod
    def new_database(folder: Path) -> Path:
        """Make a database, and in its folder a file with the password of its user `admin`. This takes some seconds."""
        database, password = folder / "crm.sqlite", folder / "password"
        database.touch()
        password.write_text(TrytonServer.PASSWORD)
        made = subprocess.run(
            [
                *(sys.executable, str(Path(sys.executable).with_name("trytond-admin")), "-d", "crm"),
                *("-u", "party", "--activate-dependencies", "--email", "admin@example.com"),
            ],
            env={**os.environ, "TRYTONPASSFILE": str(password), "TRYTOND_DATABASE__PATH": str(folder)},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise CannotStart(f"trytond-admin ended with {made.returncode}. It said:\n{made.stdout}{made.stderr}")
        return database

    def _start(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/crm/rpc/"
        self._program = Program(
            self._folder,
            [sys.executable, str(Path(sys.executable).with_name("trytond")), "-d", "crm"],
            env={
                **os.environ,
                "TRYTOND_DATABASE__PATH": str(self._folder),
                "TRYTOND_WEB__LISTEN": f"127.0.0.1:{port}",
            },
            answers=lambda: socket.create_connection(("127.0.0.1", port), timeout=1).close(),
        )

    def stop(self) -> None:
        """End it at once."""
        self._program.kill()
