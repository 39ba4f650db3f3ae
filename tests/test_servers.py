"""The helpers of the tests: servers that start or report why not, and signals."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers
from servers import CannotStart, Program, RabbitServer, free_ports, on_a_free_port

SILENT = "import time; time.sleep(3600)"
COMPLAINS = "import sys; sys.exit('FATAL: the disk is full')"
AFTER_THE_OTHER_HAS_PRINTED = """
import pathlib, time
while not pathlib.Path("log.txt").read_text():
    time.sleep(0.01)
"""


def never() -> None:
    """Never answer."""
    raise ConnectionRefusedError


def never_after_output(folder: Path) -> None:
    """Never answer, and raise when the server has printed something, or after a minute."""
    for _ in range(6000):
        if (folder / "log.txt").read_text():
            break
        time.sleep(0.01)
    never()


def test_a_server_that_ends_raises_its_output_and_leaves_no_process(tmp_path: Path) -> None:
    """The error has its output. The other process of the server has ended, too."""
    with pytest.raises(CannotStart, match="FATAL: the disk is full"):
        Program(
            tmp_path,
            [sys.executable, "-c", f"import os; print(os.getpid(), flush=True); {SILENT}"],
            [sys.executable, "-c", f"{AFTER_THE_OTHER_HAS_PRINTED}{COMPLAINS}"],
            answers=never,
        )

    beside = int((tmp_path / "log.txt").read_text().split()[0])
    with pytest.raises(ProcessLookupError):
        os.kill(beside, 0)


def test_a_server_that_does_not_answer_raises_its_output(tmp_path: Path) -> None:
    """It is ended after its time. The error has its output until then."""
    with pytest.raises(CannotStart, match=r"does not answer. It said:\nstill starting"):
        Program(
            tmp_path,
            [sys.executable, "-c", f"print('still starting', flush=True); {SILENT}"],
            answers=lambda: never_after_output(tmp_path),
            patience=0,
        )


@pytest.mark.parametrize(("said", "tries"), [("bind: Address already in use", 3), ("the disk is full", 1)])
def test_another_port_is_tried_only_if_a_port_is_taken(said: str, tries: int) -> None:
    """Any other failure is raised at once."""
    tried: list[int] = []

    def start() -> str:
        tried.append(1)
        if len(tried) < 3:
            raise CannotStart(said)
        return "started"

    if tries == 1:
        with pytest.raises(CannotStart, match=said):
            on_a_free_port(start)
    else:
        assert on_a_free_port(start) == "started"
    assert len(tried) == tries


def test_five_taken_ports_are_an_error() -> None:
    """The error of the fifth try is raised."""
    tried: list[int] = []

    def start() -> None:
        tried.append(1)
        raise CannotStart(f"try {len(tried)}: Address already in use")

    with pytest.raises(CannotStart, match="try 5: Address already in use"):
        on_a_free_port(start)
    assert len(tried) == 5


def test_ports_that_are_found_together_are_different() -> None:
    """No port is given out twice in one call."""
    assert len(set(free_ports(200))) == 200


@pytest.mark.slow
def test_rabbitmq_starts_though_any_one_of_its_ports_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This may be its own port, the port between nodes, or the port of its names server."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]

        def choices() -> Iterator[list[int]]:
            for place in range(3):
                ports = free_ports(3)
                ports[place] = taken
                yield ports
            yield free_ports(3)

        chosen = choices()
        monkeypatch.setattr(servers, "free_ports", lambda _: next(chosen))
        RabbitServer(tmp_path).stop()

    assert list(chosen) == []


def test_child_processes_have_default_signals_even_if_the_parent_ignores_them() -> None:
    """`nohup` and background jobs of a script ignore signals."""
    code = "import signal; print(*(signal.getsignal(n).name for n in (signal.SIGHUP, signal.SIGTERM)))"
    tests = Path(__file__).parent
    begin = f"import sys; sys.path[:0] = [{str(tests)!r}]; import conftest, subprocess; conftest.pytest_configure()"

    def ignore() -> None:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)

    done = subprocess.run(
        [sys.executable, "-c", f"{begin}; subprocess.run([sys.executable, '-c', {code!r}], check=True)"],
        preexec_fn=ignore,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "SIG_DFL SIG_DFL\n"
