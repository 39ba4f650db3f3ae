"""ts.reports.door_list: every booking is listed, even if the API fails for some of them."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from halls import Rows, answer_with, answer_without_end, desk_of, fail_after, rows_of
from loops import our_tasks

from ticketsource_async import (
    AccessBlocked,
    AuthenticationFailed,
    ClientClosed,
    DoorEntry,
    InvalidID,
    InvalidResponse,
    NoteDraft,
    NotFound,
    ServerError,
    TicketSource,
)
from ticketsource_async.sandbox import Sandbox


@pytest.fixture(name="hall")
async def _hall() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=20, events=1, dates_per_event=2, bookings_per_date=30, rate_limit=None) as hall:
        yield hall


@pytest.fixture(name="date")
async def _date(hall: Sandbox, desk: TicketSource) -> str:
    """Return the id of a date."""
    async for event in desk.events.list():
        async for date in desk.events.list_dates(event):
            hall.requests.clear()
            return date.id
    raise AssertionError


async def bookings_of(hall: Sandbox, date: str) -> Rows:
    """Return the rows of the bookings for a date as the API sends them."""
    return await rows_of(hall, f"/dates/{date}/bookings")


def paths(hall: Sandbox) -> Counter[str]:
    """Return how often each path was requested."""
    return Counter(request.path for request in hall.requests)


def by_booking(entries: tuple[DoorEntry, ...]) -> dict[str, DoorEntry]:
    """Return the entries by the id of their booking."""
    return {entry.booking.id: entry for entry in entries}


async def test_each_booking_is_listed_with_its_customer_and_seats(hall: Sandbox, desk: TicketSource, date: str) -> None:
    """Each booking has a row, also if a customer has several."""
    rows = await bookings_of(hall, date)
    made: list[tuple[int, int]] = []

    found = await desk.reports.door_list(date, on_progress=lambda *counts: made.append(counts))

    assert Counter(entry.booking.id for entry in found.entries) == Counter(row["id"] for row in rows)
    assert len(found.entries) == 30
    for entry in found.entries:
        assert entry.customer is not None
        assert entry.customer.value is not None
        assert entry.customer.value.id == entry.booking.customer_id
        seats = [seat async for seat in desk.bookings.list_seats(entry.booking)]
        assert entry.seats is not None
        assert list(entry.seats.value or ()) == seats
        assert entry.notes is None
    assert (found.is_complete, found.event and found.event.name) == (True, "The Lighthouse")
    assert found.venue is not None
    assert made == [(number, 50) for number in range(51)]


async def test_a_door_list_makes_one_request_for_each_booking_and_each_customer(
    hall: Sandbox, desk: TicketSource, date: str
) -> None:
    """Four more are for the date, its event, its venue and the bookings. Notes take one more for each customer."""
    await desk.reports.door_list(date)
    plain = paths(hall)
    hall.requests.clear()
    await desk.reports.door_list(date, notes=True)
    with_notes = paths(hall)
    hall.requests.clear()
    await desk.reports.door_list(await desk.dates.get(date), seats=False)
    fast = paths(hall)

    assert (plain.total(), with_notes.total(), fast.total()) == (4 + 30 + 20, 4 + 30 + 40, 4 + 20)
    assert set(plain.values()) == set(with_notes.values()) == set(fast.values()) == {1}


async def test_a_note_is_shown_with_every_booking_of_its_customer(hall: Sandbox, desk: TicketSource, date: str) -> None:
    """Notes are read only with `notes=True`."""
    rows = await bookings_of(hall, date)
    twice = hall.customers.ids()[0]
    await desk.notes.create(twice, NoteDraft(description="Wheelchair", created_by="Sam"))

    found = await desk.reports.door_list(date, notes=True)

    entries = [entry for entry in found.entries if entry.booking.customer_id == twice]
    assert len(entries) == sum(row["links"]["customer"].endswith(twice) for row in rows) == 2
    assert all("Wheelchair" in entry.notes_in_words.split("\n") for entry in entries)


async def test_a_booking_of_a_deleted_customer_is_listed_with_its_reference(
    hall: Sandbox, desk: TicketSource, date: str
) -> None:
    """The list is complete, and a remark says that the customer is deleted."""
    gone = hall.customers.ids()[3]
    hall.customers.delete([gone])

    found = await desk.reports.door_list(date, notes=True)

    entries = [entry for entry in found.entries if entry.booking.customer_id == gone]
    assert [entry.customer is not None and entry.customer.is_gone for entry in entries] == [True, True]
    assert all(entry.reference and "no longer in TicketSource" in entry.remarks[0] for entry in entries)
    assert (found.is_complete, len(found.entries), list(found.failures())) == (True, 30, [])


async def test_a_404_of_a_gateway_does_not_mean_that_a_customer_is_deleted(
    hall: Sandbox, desk: TicketSource, date: str
) -> None:
    """Then the customer is unread, and the list is not complete."""
    hall.fail(path=f"/customers/{hall.customers.ids()[3]}", status=404, html=True)

    found = await desk.reports.door_list(date)

    assert [entry.lacking for entry in found.entries if entry.lacking] == [("customer",)] * 2
    assert not found.is_complete


async def test_more_than_a_hundred_failures_remove_no_booking_from_the_list() -> None:
    """Each row has its reference, and says that seats and customer could not be read."""
    async with (
        Sandbox(customers=130, events=1, dates_per_event=1, bookings_per_date=130, rate_limit=None) as hall,
        desk_of(hall) as desk,
    ):
        (date,) = [date.id async for event in desk.events.list() async for date in desk.events.list_dates(event)]
        rows = await bookings_of(hall, date)
        for row in rows:
            hall.fail(path=f"/bookings/{row['id']}/seats", status=500)
        for customer_id in hall.customers.ids():
            hall.fail(path=f"/customers/{customer_id}", status=501, times=1)

        found = await desk.reports.door_list(date)

    assert {entry.reference for entry in found.entries} == {row["attributes"]["ref"] for row in rows}
    there = {entry.booking.id for entry in found.entries if entry.customer and not entry.customer.is_gone}
    assert len(there) > 100
    assert {entry.lacking for entry in found.entries if entry.booking.id in there} == {("customer", "seats")}
    assert {entry.lacking for entry in found.entries if entry.booking.id not in there} <= {("seats",)}
    assert len(list(found.failures())) == 130 + len(there)
    assert found.warnings == (
        f"The customer of {len(there)} bookings could not be read.",
        "All or some of the seats of 130 bookings could not be read.",
    )


@pytest.mark.parametrize(
    ("body", "remark"),
    [
        ({"data": "x"}, "seats could not be read"),
        ({"data": [{"type": "seat", "attributes": {}}], "links": {}}, "some seats could not be read"),
        ({"data": [], "links": {}}, None),
        ("<html>", "seats could not be read"),
    ],
)
async def test_unreadable_seats_are_reported_in_the_row_of_their_booking(
    hall: Sandbox, desk: TicketSource, date: str, body: object, remark: str | None
) -> None:
    """The other rows are not affected."""
    odd = (await bookings_of(hall, date))[2]["id"]
    hall.fail(path=f"/bookings/{odd}/seats", status=200, body=json.dumps(body), times=None)

    found = by_booking((await desk.reports.door_list(date)).entries)

    assert [entry.booking.id for entry in found.values() if entry.lacking] == ([odd] if remark else [])
    assert remark is None or remark in found[odd].remarks
    assert len(found) == 30


async def test_an_endless_list_of_seats_is_reported_in_the_row_of_its_booking(
    hall: Sandbox, desk: TicketSource, date: str
) -> None:
    """The row has the seats that were read before."""
    odd = (await bookings_of(hall, date))[3]["id"]
    answer_without_end(
        hall,
        f"/bookings/{odd}/seats",
        [{"id": "sea-1", "type": "seat", "attributes": {"is_booked": True, "is_cancelled": False}}],
    )

    entry = by_booking((await desk.reports.door_list(date)).entries)[odd]

    assert (entry.lacking, entry.places, entry.seats_in_words) == (("seats",), None, "1 place")


async def test_a_booking_that_comes_twice_has_one_row(hall: Sandbox, desk: TicketSource, date: str) -> None:
    """This happens if a booking is made while the pages are read."""
    rows = await bookings_of(hall, date)
    answer_with(hall, f"/dates/{date}/bookings", [*rows[:3], rows[0], rows[2]])

    found = await desk.reports.door_list(date)

    assert len(found.entries) == 3
    assert found.is_complete


async def test_an_unreadable_booking_is_counted_and_the_others_are_listed(
    hall: Sandbox, desk: TicketSource, date: str
) -> None:
    """The list says that people are missing."""
    rows = await bookings_of(hall, date)
    odd = [{"type": "booking", "id": None}, {**rows[1], "attributes": None}]
    answer_with(hall, f"/dates/{date}/bookings", [rows[0], *odd, rows[2]])

    found = await desk.reports.door_list(date)

    assert {entry.booking.id for entry in found.entries} == {rows[0]["id"], rows[2]["id"]}
    assert (found.missing_bookings, found.is_complete) == (2, False)
    assert found.warnings == ("People are missing: 2 bookings could not be read.",)
    assert [type(error) for error in found.failures()] == [InvalidResponse] * 2


@pytest.mark.parametrize(
    ("link", "lacking"),
    [(None, ()), ("", ()), ("https://api.example.com/", ()), ("https://api.example.com/x/evt-1", ("customer",))],
)
async def test_a_booking_without_a_usable_customer_link_is_listed(
    hall: Sandbox, desk: TicketSource, date: str, link: object, lacking: tuple[str, ...]
) -> None:
    """Its row has its reference and its seats."""
    rows = await bookings_of(hall, date)
    rows[0]["links"]["customer"] = link
    answer_with(hall, f"/dates/{date}/bookings", rows[:2])

    entry = by_booking((await desk.reports.door_list(date, notes=True)).entries)[rows[0]["id"]]

    assert entry.reference == rows[0]["attributes"]["ref"]
    assert (entry.seats is not None and entry.seats.value) or ()
    assert set(lacking) <= set(entry.lacking)
    assert (entry.customer is None) == (not lacking)


async def test_an_endless_list_of_bookings_is_reported_as_incomplete(
    hall: Sandbox, desk: TicketSource, date: str
) -> None:
    """The bookings of the pages before are listed."""
    rows = await bookings_of(hall, date)
    answer_without_end(hall, f"/dates/{date}/bookings", rows[:3])

    found = await desk.reports.door_list(date)

    assert len(found.entries) == 3
    assert found.ended is not None
    assert found.warnings[0].startswith("People may be missing: the list of bookings could not be read to its end")
    assert "NOT COMPLETE" in found.reminder


@pytest.mark.parametrize(
    ("what", "status", "said"),
    [
        ("events", 500, "The event could not be read."),
        ("venues", 404, "The venue could not be read."),
        ("dates", 500, "The performance could not be read."),
    ],
)
async def test_an_unreadable_performance_removes_no_row(
    hall: Sandbox, desk: TicketSource, date: str, what: str, status: int, said: str
) -> None:
    """A warning says so, and the list is not complete."""
    known = await desk.dates.get(date)
    record_id = {"events": known.event_id, "venues": known.venue_id, "dates": date}[what]
    hall.fail(path=f"/{what}/{record_id}", status=status)

    found = await desk.reports.door_list(date)

    assert len(found.entries) == 30
    assert said in found.warnings
    assert not found.is_complete
    assert ("PERHAPS CANCELLED" in found.reminder) == (what == "dates")


async def test_a_date_without_bookings_is_an_empty_list(desk: TicketSource, hall: Sandbox, date: str) -> None:
    """The list is complete."""
    answer_with(hall, f"/dates/{date}/bookings", [])
    made: list[tuple[int, int]] = []

    found = await desk.reports.door_list(date, on_progress=lambda *counts: made.append(counts))

    assert (found.entries, found.is_complete, made) == ((), True, [(0, 0)])


async def test_an_unknown_or_invalid_date_is_an_error(desk: TicketSource, hall: Sandbox) -> None:
    """An id of another kind is refused before any request."""
    with pytest.raises(NotFound):
        await desk.reports.door_list("dat-nothing")
    assert paths(hall) == {"/dates/dat-nothing": 1}

    with pytest.raises(InvalidID):
        await desk.reports.door_list("evt-1")
    assert len(hall.requests) == 1


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"status": 401}, AuthenticationFailed),
        ({"status": 403, "html": True, "headers": {"cf-mitigated": "challenge"}}, AccessBlocked),
    ],
)
async def test_a_refused_key_or_a_blocked_access_ends_the_list(
    hall: Sandbox, desk: TicketSource, date: str, how: dict[str, Any], error: type[Exception]
) -> None:
    """The list raises that error, and no task is left."""
    odd = (await bookings_of(hall, date))[2]["id"]
    hall.fail(path=f"/bookings/{odd}/seats", **how)
    before = our_tasks()

    with pytest.raises(error):
        await desk.reports.door_list(date)

    assert our_tasks() == before


async def test_bookings_that_cannot_be_listed_are_an_error(hall: Sandbox, desk: TicketSource, date: str) -> None:
    """No list is returned."""
    hall.fail(path=f"/dates/{date}/bookings", status=500, times=None)

    with pytest.raises(ServerError):
        await desk.reports.door_list(date)


@pytest.mark.parametrize("fault", [{"status": 500}, {"body": "<html>"}, {"status": 404}])
async def test_a_later_page_of_bookings_that_fails_costs_only_the_people_after_it(
    hall: Sandbox, desk: TicketSource, date: str, fault: dict[str, Any]
) -> None:
    """The others are on the list, with their seats. The list says that people may be missing."""
    rows = await bookings_of(hall, date)
    fail_after(hall, f"/dates/{date}/bookings", rows[:10], **fault)

    found = await desk.reports.door_list(date)

    assert {entry.booking.id for entry in found.entries} == {row["id"] for row in rows[:10]}
    assert all(entry.seats_in_words and entry.name for entry in found.entries)
    assert (found.ended, found.missing_bookings, found.is_complete) == ("page 2 could not be read", 0, False)
    assert found.warnings == (
        "People may be missing: the list of bookings could not be read to its end (page 2 could not be read).",
    )
    assert [f"/dates/{date}/bookings" in str(error) for error in found.failures()] == [True]
    assert "NOT COMPLETE" in found.reminder


async def test_a_refused_key_ends_the_list_also_on_a_later_page(hall: Sandbox, desk: TicketSource, date: str) -> None:
    """It would be refused for all calls."""
    fail_after(hall, f"/dates/{date}/bookings", await bookings_of(hall, date), status=401)

    with pytest.raises(AuthenticationFailed):
        await desk.reports.door_list(date)


async def test_a_later_page_of_seats_that_fails_costs_only_the_seats_after_it(
    hall: Sandbox, desk: TicketSource, date: str
) -> None:
    """A group can have more seats than a page has rows."""
    odd = (await bookings_of(hall, date))[3]["id"]
    seat = {"id": "sea-1", "type": "seat", "attributes": {"is_booked": True, "is_cancelled": False}}
    fail_after(hall, f"/bookings/{odd}/seats", [seat], status=500)

    entry = by_booking((await desk.reports.door_list(date)).entries)[odd]

    assert (entry.lacking, entry.places, entry.seats_in_words) == (("seats",), None, "1 place")
    assert entry.remarks[-1] == "some seats could not be read"


async def test_a_list_that_is_cancelled_leaves_no_task(hall: Sandbox, desk: TicketSource, date: str) -> None:
    """The same is true if the client is closed: then the list raises ClientClosed."""
    before = our_tasks()
    begun = asyncio.Event()
    reading = asyncio.create_task(desk.reports.door_list(date, on_progress=lambda *_: begun.set()))
    await begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert our_tasks() == before

    closing = asyncio.create_task(desk.reports.door_list(date, on_progress=lambda *_: begun.set()))
    begun.clear()
    await begun.wait()
    await desk.aclose()
    with pytest.raises(ClientClosed):
        await closing


async def test_wrong_options_are_refused_before_any_request(hall: Sandbox, desk: TicketSource) -> None:
    """Each error names the right option."""
    with pytest.raises(TypeError, match="notes"):
        await desk.reports.door_list("dat-1", note=True)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ValueError, match="concurrency"):
        await desk.reports.door_list("dat-1", concurrency=0)

    async def tell(_done: int, _total: int) -> None: ...

    with pytest.raises(ValueError, match="plain function"):
        await desk.reports.door_list("dat-1", on_progress=tell)
    assert not hall.requests


async def test_records_yields_each_record_of_the_list_once(hall: Sandbox, desk: TicketSource, date: str) -> None:
    """A customer with several bookings comes once."""
    found = await desk.reports.door_list(date, notes=True)

    ids = Counter(record.id for record in found.records())
    assert set(ids.values()) == {1}
    kinds = Counter(record_id.partition("-")[0] for record_id in ids)
    assert (kinds["dat"], kinds["evt"], kinds["ven"], kinds["bkg"], kinds["cst"]) == (1, 1, 1, 30, 20)
    assert kinds["sea"] > 30
