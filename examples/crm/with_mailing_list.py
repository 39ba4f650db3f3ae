"""Keep a mailing list in step, and subscribe nobody who said no: run `python with_mailing_list.py` every night.

It uses what the APIs of mailing services have in common: `PUT /members/HASH` makes or changes a member, and HASH is
the MD5 of the e-mail in small letters. Set MAILING_LIST (such as https://api.example.com/lists/7), MAILING_KEY_FILE,
a file with the key, and what `TicketSource.from_env` needs. `customers.db` in the current folder has the customers.

An e-mail is subscribed if all customers who have it agree to e-mails. No answer, or one that cannot be read, is not a
yes. Each run first unsubscribes people, and then subscribes others. If the list of customers cannot be read to its
end, nobody is subscribed. Each run compares all customers with all members. So the program may be killed at any moment:
the next run does the rest. If the service refuses a member, the program reports the member and writes the others.

A person who unsubscribed by the link in a mail stays unsubscribed. The field TICKETSOURCE tells such a person from the
members whom this program unsubscribed: theirs is "no". If a run finds that the person says no in TicketSource too, the
field becomes "no" as well, since a yes in a later run is newer. If no customer has the e-mail of a member, the member
is unsubscribed if this program has subscribed them. The service keeps the e-mail. To remove a person who was erased,
delete the member there.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import aiohttp
from attrs import define
from in_step import Refused, Unavailable, agreed, opened, patiently, read_changes, report, secret

from ticketsource_async import CustomerStore, TicketSource, comparable_email

Member = dict[str, Any]


@define
class Person:
    """The customers with one e-mail, and what they say about e-mails."""

    email: str
    names: Member
    yes: bool = True  # all of them
    no: bool = True  # all of them; no answer is not a no


def due(member: Member | None, person: Person | None) -> Member | None:
    """Return the values to write for a member, or None."""
    subscribed = member is not None and member["status"] == "subscribed"
    fields = {} if member is None else member["merge_fields"]
    by_us = fields.get("TICKETSOURCE", "")
    if person is not None and person.yes:
        wanted = {"TICKETSOURCE": "yes", **person.names}
        if member is None:
            return {"status_if_new": "subscribed", "merge_fields": wanted}
        if by_us == "no" and not subscribed:
            return {"status": "subscribed", "merge_fields": wanted}
        if by_us and subscribed and fields != {**fields, **wanted}:
            return {"status_if_new": "unsubscribed", "merge_fields": wanted}
        return None
    if person is None:
        has_to_go = subscribed and by_us == "yes"
    else:
        has_to_go = subscribed or (member is not None and person.no and by_us != "no")
    nothing = {"TICKETSOURCE": "no", "FNAME": "", "LNAME": ""}
    return {"status": "unsubscribed", "merge_fields": nothing} if has_to_go else None


class MailingList:
    """One list of a mailing service."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str) -> None:
        self._http, self._url = http, url
        self._headers = {"Authorization": f"Bearer {key}"}

    async def call(self, method: str, path: str, body: Member | None = None, **query: int) -> Any:
        """Return the answer of the service, or None if it has no such member."""
        options: Any = {"json": body, "params": query, "headers": self._headers}
        try:
            async with self._http.request(method, self._url + path, **options) as response:
                if response.status == 404 and method == "GET" and path != "/members":
                    return None
                if response.status in (400, 422):
                    raise Refused(f"{method} {path} was answered {response.status}: {(await response.text())[:300]}")
                if response.status >= 300:
                    asked = response.headers.get("Retry-After", "")
                    raise Unavailable(f"{method} {path} was answered {response.status} {response.reason}", asked)
                return await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unavailable(f"{method} {path} got no answer: {error!r}") from None

    async def members(self) -> AsyncIterator[Member]:
        offset = 0
        while page := (await patiently(partial(self.call, "GET", "/members", count=500, offset=offset)))["members"]:
            for member in page:
                yield member
            offset += len(page)

    async def settle(self, email: str, person: Person | None) -> None:
        """Read a member, and write the values that are due."""
        path = f"/members/{hashlib.md5(email.lower().encode(), usedforsecurity=False).hexdigest()}"
        if values := due(await self.call("GET", path), person):
            await self.call("PUT", path, {"email_address": email, **values})


async def people_in(store: CustomerStore, failures: list[Exception]) -> dict[str, Person]:
    people: dict[str, Person] = {}
    async for customer in store.customers(on_damaged=failures.append):
        if customer.email and "@" in customer.email:
            names = {"FNAME": customer.first_name or "", "LNAME": customer.last_name or ""}
            person = people.setdefault(comparable_email(customer.email), Person(customer.email.strip(), names))
            person.yes &= "email" in agreed(customer)
            person.no &= customer.consent is not None and customer.consent.email is False
    return people


async def keep_in_step(ts: TicketSource, store: CustomerStore, mailing_list: MailingList) -> None:
    failures: list[Exception] = []
    _, is_whole = await read_changes(ts, store, failures.append)
    await store.acknowledge_all()  # the store has them, and the code below compares the whole store
    people = await people_in(store, failures)
    members = [member async for member in mailing_list.members()]
    known = {comparable_email(member["email_address"]): member for member in members}

    tasks: list[tuple[str, Person | None]] = []
    for member in members:
        person = people.get(comparable_email(member["email_address"]))
        if not (person and person.yes) and (person or is_whole) and due(member, person):
            tasks.append((member["email_address"], person))
    for address, person in people.items() if is_whole else ():
        if person.yes and due(known.get(address), person):
            tasks.append((known[address]["email_address"] if address in known else person.email, person))
    for email, person in tasks:
        try:
            await patiently(partial(mailing_list.settle, email, person))
        except Refused as error:
            failures.append(error)
    report(f"{len(tasks)} of {len(members)} members and {len(people)} e-mails had to be written.", failures)


async def main() -> None:
    async with opened() as (ts, store, http):
        await keep_in_step(ts, store, MailingList(http, os.environ["MAILING_LIST"], secret("MAILING_KEY_FILE")))


if __name__ == "__main__":
    asyncio.run(main())
