"""The nightly script, run with a `sendmail` that stores the mails. systemd verifies its units."""

import asyncio
import contextlib
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Done
from loops import until_others
from servers import need

from ticketsource_async.sandbox import Sandbox

NIGHTLY = Path(__file__).parents[1] / "examples" / "nightly"
SCRIPT = NIGHTLY / "ticketsource-nightly"

SENDMAIL = """#!/bin/sh
cat > "$(mktemp {folder}/XXXXXX)"
exit {code}
"""


class Office:
    """A machine of a box office: its folder, its key and its mails."""

    def __init__(self, home: Path, box: Sandbox) -> None:
        self.box = box
        home /= "the machine of $HOME's"  # a name that a shell must quote
        home.mkdir()
        self.folder, self._mails, self._programs = home / "changes", home / "mails", home / "bin"
        for folder in (self.folder, self._mails, self._programs):
            folder.mkdir()
        self.key = home / "key"
        self.key.write_text(f"{box.api_key}\n")
        self.key.chmod(0o600)
        self.program("ticketsource", f'#!/bin/sh\nexec {sys.executable} -W error -m ticketsource_async "$@"\n')
        self.mails_end_in(0)
        self.settings = {
            "PATH": f"{self._programs}:/usr/bin:/bin",
            "TICKETSOURCE_API_KEY_FILE": str(self.key),
            "TICKETSOURCE_BASE_URL": box.url,
            "FOLDER": str(self.folder),
            "MAIL_TO": "boxoffice@example.com",
            "TRIES": "2",
            "WAIT": "0",
        }

    def program(self, name: str, text: str) -> None:
        """Make a program that the script finds."""
        (self._programs / name).write_text(text)
        (self._programs / name).chmod(0o755)

    def remove(self, name: str) -> None:
        """Remove a program."""
        (self._programs / name).unlink()

    def mails_end_in(self, code: int) -> None:
        """Let the program that sends mails end with this code."""
        self.program("sendmail", SENDMAIL.format(folder=shlex.quote(str(self._mails)), code=code))

    async def start(self, *arguments: str, **settings: str) -> asyncio.subprocess.Process:
        """Start the script."""
        return await asyncio.create_subprocess_exec(
            *("dash", str(SCRIPT), *arguments),
            env=self.settings | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    async def night(self, *arguments: str, **settings: str) -> Done:
        """Run the script to its end."""
        process = await self.start(*arguments, **settings)
        out, err = await process.communicate()
        return Done(process.returncode, out.decode(), err.decode())

    @property
    def mails(self) -> list[str]:
        """The mails that were sent, in no order."""
        return [mail.read_text() for mail in self._mails.iterdir()]

    @property
    def files(self) -> list[Path]:
        """The files with changes, the oldest first."""
        return sorted(self.folder.glob("changes-*"))

    def changes(self) -> list[dict[str, object]]:
        """Return the changes in all files, in order."""
        return [json.loads(line) for file in self.files for line in file.read_text().splitlines()]


@pytest.fixture(name="office")
def _office(tmp_path: Path, many: Sandbox) -> Office:
    return Office(tmp_path, many)


async def test_each_night_writes_its_changes_to_a_new_file_and_sends_no_mail(office: Office) -> None:
    """No other user can read the files, and a file that is too old is removed."""
    first = await office.night()
    everybody = office.changes()
    office.box.customers.update(office.box.customers.ids(0, 1)[0], {"last_name": "Changed"})
    old = office.folder / "changes-2020-01-01T030000Z.jsonl"
    old.write_text("{}\n")
    os.utime(old, (0, 0))
    second = await office.night()

    assert (first.code, second.code, office.mails) == (0, 0, [])
    assert "300 created" in first.err
    assert len(everybody) == 300
    assert office.changes()[:300] == everybody
    assert [change["change"] for change in office.changes()[300:]] == ["updated"]
    assert len(office.files) == 2
    assert all(re.fullmatch(r"changes-\d{4}-\d\d-\d\dT\d{6}Z\.jsonl", file.name) for file in office.files)
    assert {path.stat().st_mode & 0o77 for path in office.folder.iterdir()} == {0}
    assert {path.name for path in office.folder.iterdir()} == {"lock", "customers.db", *(f.name for f in office.files)}


def replaced_key(office: Office) -> None:
    """Let the API refuse the key."""
    office.box.api_key = "skl-another"


def readable_key(office: Office) -> None:
    """Let others read the key."""
    office.key.chmod(0o640)


def no_key(office: Office) -> None:
    """Remove the file with the key."""
    office.key.unlink()


def odd_row(office: Office) -> None:
    """Let the API send one customer without attributes."""
    rows = office.box.customers.rows(0, 100)
    rows[0]["attributes"] = None
    office.box.fail(
        page=1, status=200, body=json.dumps({"data": rows, "links": {"next": f"{office.box.url}/customers?page=2"}})
    )
    office.box.fail(path=f"/customers/{rows[0]['id']}", status=501)


def no_folder(office: Office) -> None:
    """Remove the folder."""
    office.folder.rmdir()


def key_in_place_of_its_file(office: Office) -> None:
    """Give the key where the name of the file belongs."""
    office.settings["TICKETSOURCE_API_KEY_FILE"] = office.box.api_key


def killed_command(office: Office) -> None:
    """Let the command be killed before it prints anything."""
    office.program("ticketsource", "#!/bin/sh\nkill -KILL $$\n")


def no_command(office: Office) -> None:
    """Remove the command."""
    office.remove("ticketsource")


def asked_to_wait(office: Office) -> None:
    """Let the API ask for a wait of ten minutes, each time."""
    office.box.fail(status=429, headers={"Retry-After": "600"}, times=None)


@pytest.mark.parametrize(
    ("wrong", "code", "text"),
    [
        (replaced_key, 4, "was answered 401"),
        (readable_key, 4, "others can read"),
        (no_key, 2, "cannot be read: No such file or directory"),
        (key_in_place_of_its_file, 2, "Its name is not shown"),
        (odd_row, 1, "could not be read"),
        (no_folder, 1, "cannot be written"),
        (killed_command, 137, "was ended by a signal: exit code 137"),
        (no_command, 127, "could not be run"),
        (asked_to_wait, 75, "429"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
async def test_a_failure_is_reported_in_one_mail(
    office: Office, wrong: Callable[[Office], None], code: int, text: str
) -> None:
    """The mail says what went wrong, without the key. The exit code is that of the command."""
    wrong(office)
    done = await office.night()

    assert done.code == code
    assert text in done.err
    assert len(office.mails) == 1
    head, _, body = office.mails[0].partition("\n\n")
    assert text in body
    assert "To: boxoffice@example.com\nSubject: TicketSource: the nightly run failed\n" in head
    for key in (office.box.api_key, "skl-sandbox"):
        assert key not in office.mails[0] + done.err


async def test_a_temporary_failure_is_tried_again_without_a_mail(office: Office) -> None:
    """The second try writes the file."""
    office.box.fail(status=429, headers={"Retry-After": "600"})
    done = await office.night()

    assert (done.code, office.mails, len(office.changes())) == (0, [], 300)
    assert "it failed for now: try 2 of 2 is in 0 s" in done.err


async def test_a_run_that_takes_too_long_is_ended_and_reported(office: Office) -> None:
    """It leaves no file with changes."""
    office.box.fail(page=2, slow=60)
    done = await office.night(RUN_LIMIT="3")

    assert done.code == 124
    assert ["took longer than 3" in mail for mail in office.mails] == [True]
    assert office.files == []


async def test_a_second_run_says_that_another_run_is_at_work(office: Office) -> None:
    """The second run makes no request and sends no mail, and the first goes on."""
    office.box.fail(page=2, slow=1)
    first = await office.start()
    await until_others(lambda: len(office.box.requests) >= 2)
    second = await office.night()
    await first.communicate()

    assert (second.code, office.mails) == (75, [])
    assert "another run is at work" in second.err
    assert (first.returncode, len(office.changes()), len(office.files)) == (0, 300, 1)


async def test_a_mail_that_cannot_be_sent_is_reported_in_the_log(office: Office) -> None:
    """The exit code stays that of the failure."""
    office.mails_end_in(1)
    replaced_key(office)
    done = await office.night()

    assert done.code == 4
    assert "no mail could be sent to boxoffice@example.com" in done.err


async def test_the_mail_unit_reports_a_failed_or_killed_run(office: Office) -> None:
    """A killed run is reported as ended from outside. While another run is at work, no mail is sent."""
    replaced_key(office)
    del office.settings["MAIL_TO"]
    await office.night()
    nothing = office.mails
    sent = await office.night("mail", MAIL_TO="boxoffice@example.com")
    refused = office.mails
    office.box.fail(page=1, slow=60)
    office.box.api_key = office.key.read_text().strip()
    run = await office.start()
    await until_others(lambda: len(office.box.requests) >= 2)
    meanwhile = await office.night("mail", MAIL_TO="boxoffice@example.com")
    await kill(run, office)
    await office.night("mail", MAIL_TO="boxoffice@example.com")

    assert (nothing, sent.code, meanwhile.code) == ([], 0, 75)
    assert len(refused) == 1
    assert "was answered 401" in refused[0]
    (other,) = set(office.mails) - set(refused)
    assert "It was ended from outside" in other


async def test_the_mail_unit_sends_no_mail_without_mail_to(office: Office) -> None:
    """The file with settings may exist without MAIL_TO."""
    del office.settings["MAIL_TO"]
    assert (await office.night("mail")).code == 0
    assert office.mails == []


async def test_mails_and_the_log_have_no_key_and_no_control_character(office: Office) -> None:
    """No output of the command can add a header to the mail or end it early."""
    said = r"Error: \033[31m\a skl-sample_1 \r\n.\nBcc: everybody@example.com\tmore"
    office.program("ticketsource", f"#!/bin/sh\nprintf '{said}\n' >&2\nexit 1\n")
    done = await office.night()

    assert done.err == "Error: [31m skl-... \n.\nBcc: everybody@example.com\tmore\n"
    head, _, body = office.mails[0].partition("\n\n")
    assert "Bcc" not in head
    assert body.startswith(done.err)


async def kill(script: asyncio.subprocess.Process, office: Office) -> None:
    """Kill a script at once, with `timeout` and the command that it runs, which are in another process group."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"FOLDER={office.folder}\0" in (process / "environ").read_text():
                os.kill(int(process.name), signal.SIGKILL)
    await script.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_run_that_gets_a_signal_ends_by_it_and_sends_no_mail(office: Office, number: int) -> None:
    """The command has ended, too. The next run writes all changes."""
    office.box.fail(page=2, slow=60)
    process = await office.start()
    await until_others(lambda: len(office.box.requests) >= 2)
    process.send_signal(number)
    await process.communicate()
    left = {path.name for path in office.folder.iterdir()} - {"customers.db-wal", "customers.db-shm"}
    done = await office.night()

    assert process.returncode == -number
    assert left == {"lock", "customers.db"}
    assert (done.code, office.mails, len(office.changes())) == (0, [], 300)


async def run_killed_at_random(office: Office, chance: random.Random) -> None:
    """Run the script, and kill it while it makes requests, or just after it has made its file."""
    process = await office.start()
    if chance.random() < 0.5:
        requests = len(office.box.requests) + chance.randrange(1, 5)
        await until_others(lambda: len(office.box.requests) >= requests or process.returncode is not None)
    else:
        known = len(office.files)
        await until_others(lambda: len(office.files) > known or process.returncode is not None)
        await asyncio.sleep(chance.random() * 0.05)
    await kill(process, office)


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.slow)])
async def test_a_killed_run_loses_nothing_and_the_next_run_cleans_up(office: Office, times: int) -> None:
    """Every customer is in a file at least once, and no part of a file is left."""
    chance = random.Random(times)
    for _ in range(times):
        await run_killed_at_random(office, chance)
    done = await office.night()

    assert (done.code, office.mails) == (0, [])
    assert {change["id"] for change in office.changes()} == set(office.box.customers.ids())
    assert [path for path in office.folder.iterdir() if path.suffix == ".part"] == []


def test_shellcheck_finds_nothing_in_the_script() -> None:
    """The script also has the syntax of a POSIX shell."""
    subprocess.run([need("dash"), "-n", SCRIPT], check=True)
    done = subprocess.run([need("shellcheck"), SCRIPT], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_systemd_accepts_the_units_and_rates_the_service_as_secure(tmp_path: Path) -> None:
    """Copies of the units name the script in this project, since it is not installed."""
    units = [unit for unit in NIGHTLY.iterdir() if unit.suffix in (".service", ".timer")]
    for unit in units:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/usr/local/bin/", f"{NIGHTLY}/"))
    analyze = need("systemd-analyze")
    copies = [str(tmp_path / unit.name) for unit in units]
    verified = subprocess.run([analyze, "verify", "--man=no", *copies], capture_output=True, text=True, check=False)
    service = str(tmp_path / "ticketsource-nightly.service")
    guarded = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", service], capture_output=True, text=True, check=False
    )

    assert len(units) == 3
    assert (verified.returncode, verified.stderr) == (0, "")
    assert guarded.returncode == 0, guarded.stdout
    assert os.access(SCRIPT, os.X_OK)


async def test_the_line_of_the_crontab_runs(office: Office) -> None:
    """The other lines set variables that the script knows."""
    *settings, line = [line for line in (NIGHTLY / "crontab").read_text().splitlines() if not line.startswith("#")]
    names = [re.fullmatch("([A-Z_]+)=[^ ]+", setting) for setting in settings]
    assert {name[1] for name in names if name} == {"MAILTO", "PATH", *office.settings} - {
        *("TICKETSOURCE_BASE_URL", "TRIES", "WAIT")  # only the test sets these
    }
    command = re.fullmatch(r"[0-9]+ [0-9]+ \* \* \* (.*)", line)
    assert command is not None
    env = office.settings | {"PATH": f"{NIGHTLY}:{office.settings['PATH']}"}
    done = await asyncio.to_thread(subprocess.run, ["sh", "-c", command[1]], env=env, check=False, capture_output=True)

    assert (done.returncode, len(office.changes())) == (0, 300)
