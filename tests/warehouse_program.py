"""One run of examples/warehouse/load.py, in a process that was forked after the slow imports."""

import importlib
import itertools
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[1] / "examples" / "warehouse"


def die_in(step: str, number: str) -> None:
    """Kill this process when it begins a step of dlt the `number`th time."""
    load: Any = importlib.import_module("dlt.load.load").Load
    owner: Any = load if hasattr(load, step) else importlib.import_module("dlt.pipeline.pipeline").Pipeline
    original, calls = getattr(owner, step), itertools.count(1)

    def dying(*arguments: object, **options: object) -> object:
        if next(calls) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(owner, step, dying)


def run(
    options: Sequence[str], folder: Path, environment: Mapping[str, str], now: str, at_once: int, dies_in: str
) -> None:
    """Run the load in this folder with a fixed clock and without a rate limit, with its output in a new `said.txt`.

    `dies_in` is a step of dlt, with the number of its call in which the process kills itself.
    """
    os.chdir(folder)
    os.environ.update(environment)
    said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.path.insert(0, str(EXAMPLE))
    from ticketsource_async import TicketSource

    load: Any = importlib.import_module("load")
    ticketsource_source: Any = importlib.import_module("ticketsource_source")
    ticketsource_source.now = lambda: datetime.fromisoformat(now)
    ticketsource_source.new_client = lambda: TicketSource.from_env(priority="bulk", rate_limit=None)
    load.DATES_AT_ONCE = at_once
    if dies_in:
        die_in(*dies_in.split())
    sys.argv = ["load.py", *options]
    load.main()
