"""One run of examples/warehouse/load.py, for a process that was forked with what takes long to import."""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[1] / "examples" / "warehouse"


def run(options: Sequence[str], folder: Path, environment: Mapping[str, str], now: str, at_once: int) -> None:
    """Run it in this folder with a clock that stands still, and without a limit of requests; `said.txt` is new."""
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
    sys.argv = ["load.py", *options]
    load.main()
