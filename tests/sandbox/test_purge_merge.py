"""How the sandbox purges and merges customers, as TicketSource does outside the API."""

import pytest

from ticketsource_async import Customer, CustomerDraft, InvalidResponse, NotFound, TicketSource
from ticketsource_async.sandbox import Sandbox


@pytest.mark.parametrize("form", ["null", "empty"])
async def test_a_purged_customer_keeps_the_bookings_and_no_personal_data(shows: Sandbox, form: str) -> None:
    """They stay in the list with their id."""
    async with TicketSource(shows.api_key, base_url=shows.url, rate_limit=None) as ts:
        first = shows.customers.ids()[0]
        before = [booking.id async for booking in ts.customers.list_bookings(first)]
        shows.customers.purge(first, form=form)  # type: ignore[arg-type]  # a parameter
        purged = await ts.customers.get(first)
        after = [booking.id async for booking in ts.customers.list_bookings(first)]
        listed = [customer.id async for customer in ts.customers.list()]

    data = purged.to_dict()
    assert {data[name] for name in ("first_name", "last_name", "email", "telephone")} <= {None, ""}
    assert not any(data["address"].values())  # type: ignore[attr-defined]  # it is JSON
    assert purged.consent is not None
    assert (purged.consent.email, purged.consent.post, purged.consent.sms) == (False, False, False)
    assert (before, purged.id in listed) == (after, True)
    assert before


async def test_a_purge_can_delete_a_customer(shows: Sandbox) -> None:
    """The API does not know the customer then, but the bookings still name them."""
    async with TicketSource(shows.api_key, base_url=shows.url, rate_limit=None) as ts:
        first = shows.customers.ids()[0]
        shows.customers.purge(first, form="gone")
        with pytest.raises(NotFound):
            await ts.customers.get(first)
        owners = {booking.customer_id async for _, _, booking in ts.all_bookings()}

    assert first in owners


async def test_a_merged_customer_is_deleted_and_the_other_gets_the_bookings(shows: Sandbox) -> None:
    """This holds even if the other is merged into a third."""
    async with TicketSource(shows.api_key, base_url=shows.url, rate_limit=None) as ts:

        async def bookings(customer_id: str) -> set[str]:
            return {booking.id async for booking in ts.customers.list_bookings(customer_id)}

        one, two, three = shows.customers.ids(0, 3)
        all_of_them = await bookings(one) | await bookings(two) | await bookings(three)
        shows.customers.merge(two, one)
        shows.customers.merge(three, two)
        kept: Customer = await ts.customers.get(three)
        for gone in (one, two):
            with pytest.raises(NotFound):
                await ts.customers.get(gone)
        owned = {b.id async for _, _, b in ts.all_bookings() if b.customer_id == three}

        assert kept.id == three
        assert await bookings(three) == all_of_them == owned


async def test_a_get_of_a_merged_customer_can_answer_with_the_other(shows: Sandbox) -> None:
    """Only `get` does so, and only as long as the other exists."""
    one, two, three = shows.customers.ids(0, 3)
    shows.customers.merge(two, one, form="survivor")
    shows.customers.merge(three, two)

    async with TicketSource(shows.api_key, base_url=shows.url, rate_limit=None) as ts:
        listed = [customer.id async for customer in ts.customers.list()]
        with pytest.raises(InvalidResponse, match=f"customer {three}: the record asked for was {one}"):
            await ts.customers.get(one)
        for call in (
            ts.customers.get(two),
            ts.customers.update(one, CustomerDraft(last_name="Fox")),
            ts.customers.delete(one),
        ):
            with pytest.raises(NotFound):
                await call
        shows.customers.delete([three])
        with pytest.raises(NotFound):
            await ts.customers.get(one)

    assert not {one, two} & set(listed)
    assert three in listed


async def test_an_invalid_purge_or_merge_is_refused(box: Sandbox) -> None:
    """Nothing changes."""
    first = box.customers.ids()[0]
    with pytest.raises(KeyError):
        box.customers.purge("cst-nobody")
    with pytest.raises(KeyError):
        box.customers.merge(first, "cst-nobody")
    with pytest.raises(KeyError):
        box.customers.merge("cst-nobody", first)
    with pytest.raises(ValueError, match="the same customer"):
        box.customers.merge(first, first)
    with pytest.raises(ValueError, match="form must be one of"):
        box.customers.purge(first, form="odd")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ValueError, match="form must be one of"):
        box.customers.merge(*box.customers.ids(0, 2), form="odd")  # type: ignore[arg-type]  # on purpose
    assert len(box.customers) == 25
