"""The entry point of the `ticketsource` command, which needs the extra `cli`."""

import sys
from typing import NoReturn

from ticketsource_async._signals import leave_at_signals


def main() -> NoReturn:
    """Run the command, or say how to install it."""
    leave_at_signals()
    try:
        import click  # noqa: F401, PLC0415 - asked first, so that a module missing elsewhere is not taken for this
        import tqdm  # noqa: F401, PLC0415
    except ModuleNotFoundError:
        sys.stderr.write("The ticketsource command needs an extra: pip install 'ticketsource-async[cli]'\n")
        sys.exit(2)
    from ticketsource_async.cli import cli  # noqa: PLC0415 - needs click

    cli(prog_name="ticketsource")
    raise AssertionError("click ends the process")


if __name__ == "__main__":
    main()
