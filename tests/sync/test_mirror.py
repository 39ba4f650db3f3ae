"""A mirror that applies all changes equals the box office, even after kills and with many customers."""

import asyncio
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from mocked import ONCE
from processes import pointed_at

from ticketsource_async import (
    Change,
    Created,
    Customer,
    CustomerStore,
    Deleted,
    Erased,
    InvalidResponse,
    TicketSource,
    TooManyRemoved,
)
from ticketsource_async.resources import customers as operations
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.sync.changes import _is_empty

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Mirror(RuleBasedStateMachine):
    """Another system that follows a box office, whose customers change while the list is read."""

    folder: ClassVar[Path]
    numbers = count(1)

    def __init__(self) -> None:
        super().__init__()
        self.path = self.folder / f"{next(self.numbers)}.db"
        self.loop = asyncio.Runner()
        self.box = Sandbox(customers=23, rate_limit=None)
        self.ts = self.loop.run(self.begin())
        self.store = self.loop.run(CustomerStore(self.path).__aenter__())
        self.known: dict[str, Customer] = {}
        self.purged: set[str] = set()
        self.removals_yielded = 0
        self.merged = False
        self.changes: AsyncGenerator[Change, None] | None = None

    async def begin(self) -> TicketSource:
        """Start the box office."""
        await self.box.start()
        return TicketSource(self.box.api_key, base_url=self.box.url, retry=ONCE, rate_limit=None)

    def one_customer(self, number: int) -> list[str]:
        """Return the id of one customer, or no id if there is no customer."""
        ids = self.box.customers.ids()
        return [ids[number % len(ids)]] if ids else []

    @rule(place=st.integers(0, 40), people=st.integers(1, 6))
    def customers_are_inserted(self, place: int, people: int) -> None:
        """New rows may appear anywhere in the list."""
        self.box.customers.insert(people, at=min(place, len(self.box.customers)))

    @rule(number=st.integers(0, 40), people=st.integers(1, 8))
    def customers_are_deleted(self, number: int, people: int) -> None:
        """Rows before the page that is being read may disappear too."""
        for _ in range(people):
            self.box.customers.delete(self.one_customer(number))

    @rule(number=st.integers(0, 40), email=st.booleans(), sms=st.booleans())
    def a_consent_changes(self, number: int, email: bool, sms: bool) -> None:
        """A consent is given or withdrawn."""
        for customer_id in self.one_customer(number):
            self.box.customers.update(customer_id, {"consent": {"email": email, "sms": sms}})

    @rule(number=st.integers(0, 40), name=st.sampled_from(["Zoë", "", "O'Neill"]))
    def a_name_changes(self, number: int, name: str) -> None:
        """An attribute changes, and may change back."""
        for customer_id in self.one_customer(number):
            self.box.customers.update(customer_id, {"last_name": name})

    @rule(number=st.integers(0, 40), people=st.integers(1, 8), form=st.sampled_from(["null", "empty", "gone"]))
    def customers_are_purged(self, number: int, people: int, form: Any) -> None:
        """Their data are erased. A later update may write them again."""
        for place in range(people):
            for customer_id in self.one_customer(number + place):
                self.box.customers.purge(customer_id, form=form)
                self.purged.add(customer_id)

    @rule(kept=st.integers(0, 40), gone=st.integers(0, 40), form=st.sampled_from(["gone", "survivor"]))
    def two_customers_are_merged(self, kept: int, gone: int, form: Any) -> None:
        """One of them is deleted, even while the list is read. A call by its id may return the other."""
        if self.one_customer(kept) != self.one_customer(gone):
            self.box.customers.merge(*self.one_customer(kept), *self.one_customer(gone), form=form)

    @rule(number=st.integers(0, 40), value=st.sampled_from([["odd"], {"a": 1}, "zoe@example.com", None]))
    def an_email_is_overwritten(self, number: int, value: object) -> None:
        """The new e-mail may or may not be readable."""
        for customer_id in self.one_customer(number):
            self.box.customers.overwrite(customer_id, {"email": value})

    @rule(number=st.integers(0, 40), value=st.sampled_from([1, "true", True, False, None]))
    def a_consent_is_overwritten(self, number: int, value: object) -> None:
        """A consent that cannot be read counts as no consent."""
        for customer_id in self.one_customer(number):
            self.box.customers.overwrite(customer_id, {"consent": {"email": value, "post": True, "sms": False}})

    @rule(kind=st.sampled_from(["no rows", "one row", "all empty", "nothing in them"]), by_hand=st.booleans())
    def one_list_is_faulty(self, kind: str, by_hand: bool) -> None:
        """A run with this list deletes and erases no existing customer."""
        rows = {"no rows": [], "one row": self.box.customers.rows(0, 1)}.get(kind, self.box.customers.rows(0, 100))
        if kind in ("all empty", "nothing in them"):
            names = ("first_name", "last_name", "address", "telephone", "email") if kind == "all empty" else ()
            rows = [{**row, "attributes": dict.fromkeys(names)} for row in rows]
        self.box.fail(path="/customers", page=1, status=200, body=json.dumps({"data": rows, "links": {}}))
        self.loop.run(self.follow_to_the_end(by_hand=by_hand))

    @rule(most=st.integers(1, 30), by_hand=st.booleans(), max_removed=st.sampled_from([None, 0, 3]))
    def the_mirror_follows(self, most: int, by_hand: bool, max_removed: int | None) -> None:
        """It processes some changes, and may leave the loop open while more happens."""
        self.loop.run(self.follow(most, by_hand=by_hand, max_removed=max_removed))

    async def follow(self, most: int, *, by_hand: bool = False, max_removed: int | None = None) -> None:
        """Process at most `most` changes."""
        if self.changes is None:
            self.changes = self.ts.customers.changes(self.store, acknowledge=not by_hand, max_removed=max_removed)
            self.removals_yielded = 0
        for _ in range(most):
            try:
                change = await anext(self.changes, None)
            except TooManyRemoved as stopped:
                self.changes = None
                self.expect_too_many_removed(stopped)
                return
            except InvalidResponse as odd:
                self.changes = None
                await self.forget_the_merged_customer(odd)
                return
            if change is None:
                self.changes = None
                return
            self.apply_change(change)

    async def forget_the_merged_customer(self, odd: InvalidResponse) -> None:
        """Do what the error says: remove the merged customer from the mirror and from the store."""
        (note,) = odd.__notes__
        (merged,) = re.findall(r"call store\.erase\('(.+?)'\)", note)
        assert merged not in self.box.customers.ids(), "a false merge"
        self.merged = True
        self.known.pop(merged, None)
        await self.store.erase(merged)

    def expect_too_many_removed(self, stopped: TooManyRemoved) -> None:
        """Check the numbers of the error, and that no deletion or erasure was yielded."""
        assert 2 * stopped.missing > stopped.remembered or stopped.removed > stopped.allowed
        assert stopped.allowed in (0, 3, 20)
        assert self.removals_yielded == 0

    async def follow_to_the_end(self, **options: Any) -> None:
        """Start a new loop and process all changes."""
        if self.changes is not None:
            await self.changes.aclose()
            self.changes = None
        await self.follow(sys.maxsize, **options)
        assert self.changes is None

    @staticmethod
    def readable(customer: Customer, known: Customer) -> Customer:
        """Return a customer, with the e-mail that the mirror knows if the new one cannot be read.

        An empty part counts as None: that is no change.
        """
        parts = {name: getattr(customer, name) for name in ("address", "membership", "consent")}
        parts = {name: None if part is None or part == type(part)() else part for name, part in parts.items()}
        email = known.email if "email" in customer.invalid else customer.email
        return attrs.evolve(customer, invalid={}, email=email, **parts)

    @rule()
    def all_changes_are_acknowledged_by_hand(self) -> None:
        """All changes from loops with `acknowledge=False` are acknowledged at once."""
        self.loop.run(self.store.acknowledge_all())

    def apply_change(self, change: Change) -> None:
        """Apply a change to the mirror. A second time has no further effect."""
        self.removals_yielded += isinstance(change, Deleted | Erased)
        if isinstance(change, Erased):
            assert change.id in self.purged, "a false erasure"
            assert change.after.email in (None, "")
            self.known[change.id] = change.after
        elif isinstance(change, Deleted):
            assert change.id not in change.same_contact
            assert self.box.customers.get(change.id) is None, "a false deletion"
            self.known.pop(change.id, None)
        elif isinstance(change, Created):
            self.known[change.id] = change.after
        else:  # a mirror may write only the fields that the change names
            names = {field.partition(".")[0] for field in change.fields}
            differing = {name: getattr(change.after, name) for name in names}
            self.known[change.id] = attrs.evolve(self.known[change.id], **differing)

    @precondition(lambda self: self.changes is not None)
    @rule(in_hand=st.booleans())
    def the_mirror_crashes(self, in_hand: bool) -> None:
        """It crashes, perhaps with an unprocessed change in hand, and starts again."""

        async def crash() -> None:
            assert self.changes is not None
            if in_hand:
                with suppress(TooManyRemoved, InvalidResponse):  # the loop may end with either error
                    await anext(self.changes, None)
            await self.changes.aclose()
            self.changes = None
            await self.store.aclose()
            self.store = await CustomerStore(self.path).__aenter__()

        self.loop.run(crash())

    def shown(self, customer: Customer, known: Customer) -> Customer | None:
        """Return the readable data of a customer, or None if there are none: null and "" both count as empty."""
        read = self.readable(customer, known)
        return None if _is_empty(read) else read

    @rule()
    def nothing_changes_during_a_sync(self) -> None:
        """If nothing changes during a sync, the mirror equals the box office afterwards."""

        async def check() -> None:
            await self.follow_to_the_end(max_removed=sys.maxsize)
            while self.merged:  # each run names one of them
                self.merged = False
                await self.follow_to_the_end(max_removed=sys.maxsize)
            truth = [customer async for customer in self.ts.customers.list()]
            there = {customer.id for customer in truth}
            # The deletion of an erased customer is not yielded: the consumer has no data left to delete.
            mirror = {i: c for i, c in self.known.items() if i in there or not _is_empty(c)}
            assert {i: self.shown(c, c) for i, c in mirror.items()} == {
                customer.id: self.shown(customer, self.known[customer.id]) for customer in truth
            }
            assert len(truth) == len(self.box.customers)

        self.loop.run(check())

    def teardown(self) -> None:
        """End with a run in which nothing changes, and close everything."""
        self.nothing_changes_during_a_sync()

        async def end() -> None:
            await self.store.aclose()
            await self.ts.aclose()
            await self.box.stop()

        self.loop.run(end())
        self.loop.close()


def test_a_mirror_equals_the_box_office_after_any_sequence_of_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events are edits, syncs and crashes. No existing customer is ever deleted.

    Pages have four rows here, so that there are many.
    """
    monkeypatch.setattr(operations, "_PAGES_OF_A_SYNC", {"per_page": 4, "concurrency": 2})
    Mirror.folder = tmp_path

    run_state_machine_as_test(
        Mirror, settings=settings(max_examples=60, stateful_step_count=30, deadline=None, database=None)
    )


_SYNC = r"""
import asyncio, json, re, sys
from pathlib import Path
from ticketsource_async import CustomerStore, TicketSource, TooManyRemoved

async def main():
    with open(sys.argv[2], "a") as journal:
        async with TicketSource.from_env(rate_limit=None) as ts, CustomerStore(sys.argv[1]) as store:
            try:
                async for change in ts.customers.changes(store, max_removed=int(sys.argv[3]) if sys.argv[3:] else None):
                    print(json.dumps(change.to_dict()), file=journal, flush=True)
            except TooManyRemoved:
                sys.exit(3)
    # Not ru_maxrss, which includes the memory of the parent process.
    print(int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)

asyncio.run(main())
"""


def start_sync(box: Sandbox, store: Path, journal: Path, *max_removed: str) -> "subprocess.Popen[str]":
    """Start a process that writes every change into a journal and prints at the end how many MB it took at most."""
    journal.touch()
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _SYNC, str(store), str(journal), *max_removed],
        env=pointed_at(box),
        stdout=subprocess.PIPE,
        text=True,
    )


def lines_of(journal: Path) -> list[dict[str, Any]]:
    """Return the changes in a journal, without a last one that was cut off in the middle."""
    return [json.loads(line) for line in journal.read_text().split("\n")[:-1]]


@pytest.mark.slow
@pytest.mark.ticketsource_sandbox(customers=1500, rate_limit=None)
def test_a_sync_that_is_killed_twenty_times_loses_and_repeats_no_change(
    ticketsource_sandbox: Sandbox, tmp_path: Path
) -> None:
    """A change that was finished before a kill -9 is never yielded again. Every other change is.

    Between two kills a faulty answer without rows stops a run, which deletes and erases no customer.
    """
    box, chance, store = ticketsource_sandbox, random.Random(7), tmp_path / "customers.db"
    mirror: dict[str, Any] = {}
    finished: dict[str, dict[str, Any]] = {}  # the last change of each customer
    killed = Counter[str]()
    while killed.total() < 20:
        journal = tmp_path / f"{killed.total()}.jsonl"
        process = start_sync(box, store, journal, "1500")
        at = chance.choice([0, 5, 31, 36, 90] if mirror else [0, 90, 700])
        while process.poll() is None and journal.read_bytes().count(b"\n") < at:
            time.sleep(0.001)
        process.kill()
        process.communicate()
        changes = lines_of(journal)
        journal.unlink()
        in_hand = changes[-1:] if process.returncode == -signal.SIGKILL else []
        killed.update(change["change"] for change in in_hand or [{"change": "none"}])
        apply(changes, mirror, finished)
        for change in in_hand:
            finished.pop(change["id"], None)
        for customer_id in chance.sample(box.customers.ids(), 30):
            box.customers.update(customer_id, {"consent": {"email": chance.random() < 0.5}})
        box.customers.delete(chance.sample(box.customers.ids(), 5))
        for customer_id in chance.sample(box.customers.ids(), 5):
            box.customers.purge(customer_id, form=chance.choice(["null", "empty", "gone"]))
        box.customers.merge(*chance.sample(box.customers.ids(), 2))
        if mirror and killed.total() % 3 == 0:
            box.fail(page=1, body='{"data": []}', status=200)
            stopped = start_sync(box, store, tmp_path / "stopped.jsonl")
            stopped.communicate()
            assert (stopped.returncode, lines_of(tmp_path / "stopped.jsonl")) == (3, [])
    last = start_sync(box, store, tmp_path / "last.jsonl", "1500")
    last.communicate()
    apply(lines_of(tmp_path / "last.jsonl"), mirror, finished)

    async def truth() -> dict[str, Any]:
        async with TicketSource(box.api_key, base_url=box.url) as ts:
            return {customer.id: customer.to_dict() async for customer in ts.customers.list()}

    assert last.returncode == 0
    assert mirror == asyncio.run(truth())
    assert {"created", "updated"} < set(killed)
    assert {"erased", "deleted"} <= {change["change"] for change in finished.values()}


def apply(changes: list[dict[str, Any]], mirror: dict[str, Any], finished: dict[str, dict[str, Any]]) -> None:
    """Apply changes to a mirror. None may repeat the last finished change of its customer."""
    for change in changes:
        assert change != finished.get(change["id"])
        finished[change["id"]] = change
        if change["change"] == "deleted":
            mirror.pop(change["id"], None)
        else:
            mirror[change["id"]] = change.get("after") or change["customer"]


@pytest.mark.slow
@pytest.mark.ticketsource_sandbox(customers=100_000, rate_limit=None)
def test_a_sync_of_a_hundred_thousand_customers_takes_less_than_80_mb(
    ticketsource_sandbox: Sandbox, tmp_path: Path
) -> None:
    """This holds for the first sync and for one without changes. A sync without customers takes half of it."""
    first = start_sync(ticketsource_sandbox, tmp_path / "customers.db", tmp_path / "first.jsonl")
    most, _ = first.communicate()
    second = start_sync(ticketsource_sandbox, tmp_path / "customers.db", tmp_path / "second.jsonl")
    again, _ = second.communicate()

    assert (tmp_path / "first.jsonl").read_bytes().count(b"\n") == 100_000
    assert (tmp_path / "second.jsonl").read_bytes() == b""
    assert int(most) < 80
    assert int(again) < 80
