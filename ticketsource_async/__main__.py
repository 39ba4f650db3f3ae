"""The entry point of the `ticketsource` command, which needs the extra `cli`."""

import sys


def main() -> None:
    """Run the command, or say how to install it."""
    import signal  # noqa: PLC0415 - with nothing before it, since Ctrl-C prints a traceback until the next lines

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ticketsource_async._signals import leave_at_signals  # noqa: PLC0415 - as above

    leave_at_signals()
    from importlib.util import find_spec  # noqa: PLC0415

    # Not imported here: help can do without two of them.
    if not all(map(find_spec, ("click", "rich", "tqdm"))):
        sys.stderr.write("The ticketsource command needs an extra: pip install 'ticketsource-async[cli]'\n")
        sys.exit(2)
    from ticketsource_async.cli import cli  # noqa: PLC0415 - needs click

    cli(prog_name="ticketsource")


if __name__ == "__main__":
    main()
