"""The command that checks how the live API behaves, and prints nothing private."""

import os
import shutil
import sys
import textwrap
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ticketsource_async._signals import ctrl_c_raises
from ticketsource_async.cli.common import (
    FAILED,
    NOT_AUTHENTICATED,
    TRY_AGAIN_LATER,
    box_office,
    exit_code,
    progress,
    reporting_errors,
    run,
    say,
)
from ticketsource_async.cli.options import command, quiet_option, sandbox_option
from ticketsource_async.output import check_writable, open_output

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ticketsource_async import CallEvent
    from ticketsource_async.checking.calls import Results, Summer
    from ticketsource_async.checking.findings import Finding
    from ticketsource_async.checking.report import Checked

_SUMMER: Final = "summer"  # the finding that needs the user's answer


@command("check", epilog="Example: ticketsource check --report report.md")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write a report to this file. You can send it to others: it contains no values of your records, no ids "
    "and no key.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs, in place of the lines.")
@sandbox_option
@quiet_option
def check(*, report: Path | None, as_json: bool, sandbox: bool, quiet: bool) -> None:
    """Check how the API behaves for your key: run this first.

    The command makes at most 30 requests. They change nothing. On a terminal the command asks one question. Each line
    of the output has one of four results:

    \b
    ok      it is as documented
    odd     it is different, but this library can use it
    open    this check could not find it out
    failed  it does not work

    If nothing failed, the exit code is 0.

    The output and the report contain no values of your records, no ids and no key. They contain names of attributes
    that many records have.
    """  # noqa: D301 - click wants a real \b above lines that it must not join
    if str(report) == "-":
        raise click.BadParameter("it must be the name of a file.", param_hint="--report")
    from ticketsource_async.files.json import json_text  # noqa: PLC0415 - help can do without

    checking = _Check(quiet=quiet, as_json=as_json)
    with reporting_errors():
        if report is not None:
            check_writable(report)
    run(checking.work(sandbox=sandbox))
    with reporting_errors():
        summer = checking.found.summer() if _can_ask() else None
        result = checking.result()
        if summer is not None:
            checking.print_findings(line for line in result.findings if line.name != _SUMMER)
            result = checking.result(same=_ask(summer))
        checking.print_findings(line for line in result.findings if summer is None or line.name == _SUMMER)
        checking.print_end(result)
        if as_json:
            with open_output(Path("-"), "utf-8") as stdout:
                stdout.write(json_text(result.to_dict(), indent=2) + "\n")
        if report is not None:
            with open_output(report, "utf-8") as file:
                file.write(result.to_markdown())
            if not quiet:
                say(f"The report is in {report}.")
        for failed in checking.found.failures():
            say(f"ticketsource: {failed.error}")
    raise click.exceptions.Exit(_exit_code(checking.found, result.findings))


class _Check:
    """One run of the check: its calls so far, and the printing of the result."""

    found: "Results"

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        self._quiet, self._as_json = quiet, as_json
        self._statuses: list[int | None] = []
        self._base_url, self._proxied = "", False

    async def work(self, *, sandbox: bool) -> None:
        """Make the calls. If they are interrupted, print what is known."""
        import asyncio  # noqa: PLC0415 - help can do without

        from ticketsource_async import AttemptEvent, RetryPolicy  # noqa: PLC0415 - as above
        from ticketsource_async.checking.calls import Allowance, Checker  # noqa: PLC0415 - as above

        def note(event: "CallEvent") -> None:
            if isinstance(event, AttemptEvent):
                self._statuses.append(event.status)
                bar.update()

        allowance = Allowance()
        with progress("requests", quiet=self._quiet) as bar:
            retry = RetryPolicy(attempts=2, patience=None)
            async with box_office(sandbox=sandbox, on_event=note, limiter=allowance, retry=retry) as ts:
                self._base_url, self._proxied = ts.base_url, ts.proxy is not None
                if not self._quiet:
                    through = f" through the proxy {ts.proxy}" if ts.proxy else ""
                    say(f"Checking {ts.base_url}{through}, with at most {allowance.most} requests that change nothing.")
                checker = Checker(ts, allowance)
                self.found = checker.found
                try:
                    await checker.run()
                except asyncio.CancelledError:
                    bar.close()
                    self.found.interrupted = True
                    self.print_findings(self.result().findings)
                    self.print_end(self.result(), counts=False)
                    raise

    def result(self, *, same: bool | None = None) -> "Checked":
        """Return the result; `same` is as in `checked`."""
        from ticketsource_async.checking.connection import Connection  # noqa: PLC0415 - help can do without
        from ticketsource_async.checking.report import checked  # noqa: PLC0415 - as above

        own_user_agent = bool(os.environ.get("TICKETSOURCE_USER_AGENT"))
        way = Connection(self._base_url, self._proxied, own_user_agent, tuple(self._statuses))
        return checked(self.found, way, same=same)

    def print_findings(self, findings: "Iterable[Finding]") -> None:
        """Print findings for people."""
        if self._as_json:
            return
        width = shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else 0
        with open_output(Path("-"), "utf-8") as stdout:
            for group, lines in groupby(findings, lambda line: line.group):
                stdout.write(f"{group}\n")
                for line in lines:
                    text = f"  {line.state:<7} {line.name}: {line.says}"
                    if width:
                        text = textwrap.fill(text, width, subsequent_indent=" " * 10, break_long_words=False)
                    stdout.write(f"{text}\n")

    def print_end(self, result: "Checked", *, counts: bool = True) -> None:
        """Print whether the check ended early, and the number of lines of each state."""
        from ticketsource_async.checking.report import NOTHING_ELSE  # noqa: PLC0415 - help can do without

        states = Counter(line.state for line in result.findings)
        if self._as_json:
            return
        with open_output(Path("-"), "utf-8") as stdout:
            if result.nothing_else:
                stdout.write(f"{NOTHING_ELSE}\n")
            if counts:
                stdout.write(", ".join(f"{states[state]} {state}" for state in ("ok", "odd", "open", "failed")) + "\n")


def _can_ask() -> bool:
    """Say whether a user can read a question on stderr and answer it."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _ask(summer: "Summer") -> bool | None:
    """Return whether the written time of a date is its local time; None if the user does not know.

    If it is not, the written time is UTC only if the local time is one hour later.
    """
    from datetime import timedelta  # noqa: PLC0415 - help can do without

    from ticketsource_async.models.values import escape_controls  # noqa: PLC0415 - help can do without

    what, start = repr(escape_controls(summer.event)) if summer.event else "A date", summer.start
    other = start + timedelta(hours=1)
    next_day = " on the next day" if other.date() > start.date() else ""
    say(f"The API writes the start of a date as {summer.written}.")
    with ctrl_c_raises():
        given: str = click.prompt(
            f"{what} on {start.day} {start:%B %Y}: at which local time does it start? Type 1 for {start:%H:%M}, 2 for "
            f"{other:%H:%M}{next_day}, or ? if neither is right or you do not know",
            type=click.Choice(["1", "2", "?"]),
            default="?",
            show_choices=False,
            err=True,
        )
    return {"1": True, "2": False}.get(given)


def _exit_code(found: "Results", findings: "Iterable[Finding]") -> int:
    """Return the exit code for the failed calls and the failed lines."""
    if found.stopped_by is not None:
        return exit_code(found.stopped_by)
    codes = {exit_code(failed.error) for failed in found.failures() if failed.error is not None}
    if not codes and any(line.state == "failed" for line in findings):
        return FAILED
    return next((code for code in (NOT_AUTHENTICATED, FAILED, TRY_AGAIN_LATER) if code in codes), 0)
