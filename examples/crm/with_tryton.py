"""The customers in Tryton, a CRM: run `python with_tryton.py` every night.

Set TRYTON_URL (such as https://crm.example.com/the-database/rpc/), TRYTON_USER, TRYTONPASSFILE, a file with the
password, and what `TicketSource.from_env` needs. `customers.db` in the current folder has what TicketSource had last
time. MAPPING says what goes where. For HubSpot, Salesforce or CiviCRM, change it, and the calls of `Tryton`.

A customer is one address of a party. On it are the e-mail, the telephone, and a contact named "TicketSource" with the
customer's id, by which it is found again. Who is new is searched by e-mail, or else by telephone and name. If one
active party has them, it gets the address and keeps what it has. If several have them, nobody can say which one it is:
they get no consent, and the customer is reported. A party that is made here has the customer's id as its code. Tryton
takes no code twice, so no party is made twice, even if an answer of Tryton is lost.

Consents are categories of the party. Several customers can be one party; it has a category only if all of them agree. A
withdrawal is applied to all parties with the same e-mail, or telephone and name, before the customer is written. Only
fields that changed in TicketSource are written, so what the staff changed in others stays.

- Deleted: the address is deactivated, and the consents go. A party without another customer is deactivated.
- Erased: the address is removed. A party without another customer is erased by Tryton's own wizard.

The program may be killed at any moment. A change is acknowledged when it is in Tryton. Else it comes again in the next
run, and to apply it twice makes no difference. If Tryton refuses one, it is reported and comes again; others go on.
"""

import asyncio
import base64
import os
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from in_step import Refused, Unavailable, agreed, patiently, read_changes

from ticketsource_async import (
    Change,
    Created,
    Customer,
    CustomerStore,
    Deleted,
    Erased,
    TicketSource,
    Updated,
    contacts_of,
)

# Fields of a customer, where they are in Tryton, and what joins them there.
MAPPING = (
    (("first_name", "last_name"), "party.name", " "),
    (("first_name", "last_name"), "address.party_name", " "),
    (("address.line_1", "address.line_2", "address.line_3", "address.line_4"), "address.street", "\n"),
    (("address.postcode",), "address.postal_code", ""),
    (("email",), "contact.email", ""),
    (("telephone",), "contact.phone", ""),  # "contact.other" if Tryton checks numbers and does not take yours
)
CONSENTS = {
    "email": "May be e-mailed",
    "post": "May be sent post",
    "sms": "May be sent text messages",
}
LINK = [["type", "=", "other"], ["name", "=", "TicketSource"]]  # the contact that has the customer's id
EVERYTHING = ("first_name", "last_name", "address", "email", "telephone", "consent")

Row = dict[str, Any]


class Tryton:
    """A session of Tryton. Ask one thing at a time: parallel creates can get the same code, which Tryton refuses."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, url
        self._headers: dict[str, str] = {}

    async def log_in(self, user: str, password: str) -> None:
        user_id, token, *_ = await self.call("common.db.login", user, {"password": password})
        session = base64.b64encode(f"{user}:{user_id}:{token}".encode()).decode()
        self._headers = {"Authorization": f"Session {session}"}

    async def call(self, method: str, *params: object) -> Any:
        message = {"id": 0, "method": method, "params": params}
        try:
            async with self._http.post(self._url, json=message, headers=self._headers) as response:
                if response.status != 200:
                    raise Unavailable(f"{method} was answered {response.status} {response.reason}")
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unavailable(f"{method} got no answer: {error!r}") from None
        if "error" in answer:
            raise Refused(f"{method}: {answer['error'][:2]}")
        return answer["result"]

    async def search(self, model: str, domain: list[Any], *names: str) -> list[Row]:
        """Return rows in the order of their ids, also those that are not active."""
        method, order, context = f"model.{model}.search_read", [["id", "ASC"]], {"active_test": False}
        found: list[Row] = await self.call(method, domain, 0, None, order, names, context)
        return found

    async def create(self, model: str, values: Row) -> int:
        (created,) = await self.call(f"model.{model}.create", [values], {})
        return int(created)

    async def write(self, party: int, values: Row) -> None:
        """Write a party and what belongs to it, all or nothing."""
        if values:
            await self.call("model.party.party.write", [party], values, {})

    async def erase(self, party: int) -> None:
        """Remove what Tryton knows of a party that is not active."""
        session, *_ = await self.call("wizard.party.erase.create", {})
        await self.call("wizard.party.erase.execute", session, {"ask": {"party": party}}, "erase", {})
        await self.call("wizard.party.erase.delete", session, {})


class InStep:
    """What brings one change into Tryton."""

    def __init__(self, tryton: Tryton, store: CustomerStore) -> None:
        self._tryton, self._store = tryton, store
        self._categories: dict[str, int] = {}
        self._refusals: dict[str, dict[str, set[str]]] = {}

    async def prepare(self, on_failure: Callable[[Exception], None]) -> None:
        """Make the categories, and note who does not agree: other customers may have the same e-mail."""
        for way, name in CONSENTS.items():
            found = await self._tryton.search("party.category", [["name", "=", name], ["parent", "=", None]])
            made = found[0]["id"] if found else await self._tryton.create("party.category", {"name": name})
            self._categories[way] = made
        async for customer in self._store.customers(on_damaged=on_failure):
            for contact in contacts(customer):
                self._refusals.setdefault(contact, {})[customer.id] = CONSENTS.keys() - agreed(customer)

    async def withdraw(self, change: Change) -> list[Row]:
        """Take away the consents that are no more, write nothing else, and return the cards of the customer."""
        ways = withdrawn(change)
        if not isinstance(change, Deleted | Erased):
            if touches(fields_of(change), "email", "telephone", "first_name", "last_name"):
                ways |= self._refused_by_others(change.after)
            rows = await self._rows_with(change.after) if ways else []
            await self._take({row["party"] for row in rows}, ways)
        cards = await self._cards(change.id)
        for card in cards:
            if isinstance(change, Deleted | Erased):
                ways = CONSENTS.keys() - await self._agreed(await self._others(card))
            await self._take({card["party"]}, ways)
        return cards

    async def apply(self, change: Change) -> None:
        """Bring a change into Tryton. If it is there already, this makes no difference."""
        cards = await self.withdraw(change)
        if isinstance(change, Deleted | Erased):
            for card in cards:
                await self._end(card, await self._others(card), erase=isinstance(change, Erased))
            for party in await self._made_for(change.id) if not cards else ():  # the address is not there (any more)
                if not await self._others({"party": party["id"], "address": None}):
                    await self._take({party["id"]}, CONSENTS)
                    await self._close(party["id"], {}, erase=isinstance(change, Erased))
        elif cards:
            for surplus in cards[1:]:  # an answer was lost, and Tryton was slower than the next run
                await self._tryton.write(surplus["party"], {"addresses": [["delete", [surplus["address"]]]]})
            await self._update(cards[0], change.after, fields_of(change))
        elif any(value_of(change.after, paths, "") for paths, _, _ in MAPPING):
            await self._add(change.after)

    async def _contacts(self, *domain: list[Any]) -> list[Row]:
        of_others = ("party.name", "party.active", "address.party_name", "address.active")
        names = ("type", "name", "value", "party", "address", "active", *of_others)
        return await self._tryton.search("party.contact_mechanism", list(domain), *names)

    async def _cards(self, customer_id: str) -> list[Row]:
        """Return what links a customer to a party and an address: one row or none, but see `apply`."""
        return await self._contacts(*LINK, ["value", "=", customer_id], ["address", "!=", None])

    async def _made_for(self, customer_id: str) -> list[Row]:
        """Return the party that was made for a customer, if there is one."""
        return await self._tryton.search("party.party", [["code", "=", customer_id]], "active")

    async def _others(self, card: Row) -> list[Row]:
        """Return the links of the other customers who are the same party, without those who are gone."""
        links = await self._contacts(*LINK, ["party", "=", card["party"]], ["address", "!=", card["address"]])
        return [link for link in links if link["active"] or await self._store.get(link["value"])]

    async def _rows_with(self, customer: Customer) -> list[Row]:
        """Return the contacts of active parties that have a customer's e-mail, or the telephone and the name."""
        alike: list[Any] = ["OR"]
        if customer.email:
            pattern = re.sub(r"([\\%_])", r"\\\1", customer.email.strip())
            alike.append([["type", "=", "email"], ["value", "ilike", pattern]])
        if len(digits := re.sub(r"\D", "", customer.telephone or "")[-6:]) == 6:  # with anything between them
            numbers = ["type", "in", ["phone", "mobile", "other"]]
            alike.append([numbers, ["value", "ilike", f"%{'%'.join(digits)}%"]])
        if len(alike) == 1:
            return []
        rows = await self._contacts(alike, ["active", "=", True], ["party.active", "=", True])
        return [row for row in rows if contacts(customer) & contacts(person_of(row))]

    def _refused_by_others(self, customer: Customer) -> set[str]:
        """Return the ways that another customer with the same e-mail, or telephone and name, does not agree to."""
        found = (self._refusals.get(contact, {}) for contact in contacts(customer))
        return {way for refusals in found for who, ways in refusals.items() if who != customer.id for way in ways}

    async def _agreed(self, links: list[Row], *also: Customer) -> set[str]:
        """Return the ways that all of these agree to, and all who share an e-mail with one of them."""
        people = [*also, *[await self._store.get(link["value"]) for link in links]]
        ways = set(CONSENTS if people else ())
        for person in people:  # None is somebody of whom nothing is known any more
            ways &= agreed(person) - (self._refused_by_others(person) if person else set())
        return ways

    async def _take(self, parties: set[int], ways: Iterable[str]) -> None:
        categories = [self._categories[way] for way in ways]
        having = [["id", "in", list(parties)], ["categories", "in", categories]]
        for party in await self._tryton.search("party.party", having) if parties and categories else ():
            await self._tryton.write(party["id"], {"categories": [["remove", categories]]})

    def _giving(self, ways: Iterable[str]) -> Row:
        return {"categories": [["add", [self._categories[way] for way in ways]]]}

    async def _add(self, customer: Customer) -> None:
        """Add a customer to the party that they are, or to a new one."""
        made = await self._made_for(customer.id)
        if made and not made[0]["active"]:
            raise Refused(f"{customer.id} was party {made[0]['id']}, which is not active any more: decide in Tryton")
        rows = [] if made else await self._rows_with(customer)
        parties = {row["party"] for row in rows if row["type"] == "email"} or {row["party"] for row in rows}
        if len(parties) > 1:
            raise Refused(f"{customer.id} may be any of the parties {sorted(parties)}: merge them in Tryton")
        values: Row = {} if parties else values_of(customer, EVERYTHING, "party")
        is_new = not parties and not made
        if not parties:
            parties = {made[0]["id"] if made else await self._tryton.create("party.party", {"code": customer.id})}
        (party,) = parties
        others = [] if is_new else await self._others({"party": party, "address": None})
        ways = await self._agreed(others, customer)
        if not is_new:
            await self._take({party}, CONSENTS.keys() - ways)
        contact = values_of(customer, EVERYTHING, "contact")
        there = {row["type"]: row["id"] for row in rows if row["party"] == party and row["address"] is None}
        new: list[Row] = [{"party": party, "type": "other", "name": "TicketSource", "value": customer.id}]
        new += [{"party": party, "type": kind, "value": text} for kind, text in contact.items() if kind not in there]
        known = ["add", [there[kind] for kind in contact if kind in there]]
        address = {
            **values_of(customer, EVERYTHING, "address"),
            "contact_mechanisms": [["create", [row for row in new if row["value"]]], known],
        }
        await self._tryton.write(party, {**values, "addresses": [["create", [address]]], **self._giving(ways)})

    async def _update(self, card: Row, customer: Customer, fields: tuple[str, ...]) -> None:
        """Write the fields of a customer that changed."""
        on_address = await self._contacts(["address", "=", card["address"]])
        address = values_of(customer, fields, "address", customer.invalid)
        active = {"addresses": [["write", [card["address"]], {"active": True}]]}
        # Tryton refuses to write what is not active, so this is done apart.
        if not card["active"]:  # the customer was deleted, and is there again
            those = [["write", [row["id"] for row in on_address], {"active": True}]]
            await self._tryton.write(card["party"], {"active": True, "contact_mechanisms": those, **active})
        elif not card["party."]["active"]:
            raise Refused(f"{customer.id} is party {card['party']}, which is not active: activate it in Tryton")
        elif address and not card["address."]["active"]:
            await self._tryton.write(card["party"], active)
        others = await self._others(card)
        values = values_of(customer, fields, "party", customer.invalid)
        if others and card["party."]["name"] != card["address."]["party_name"]:
            values.pop("name", None)  # the party has the name of another customer
        contact = values_of(customer, fields, "contact", customer.invalid)
        rows: list[Any] = []
        usable = [row for row in on_address if row["id"] != card["id"] and (row["active"] or not card["active"])]
        for kind, text in contact.items():
            there = [row["id"] for row in usable if row["type"] == kind][:1]
            if there:
                rows.append(["write", there, {"value": text}] if text else ["delete", there])
            elif text:
                rows.append(["create", [{"address": card["address"], "type": kind, "value": text}]])
        values |= {"addresses": [["write", [card["address"]], address]]} if address else {}
        values |= {"contact_mechanisms": rows} if rows else {}
        given = [way for way in await self._agreed(others, customer) if touches(fields, f"consent.{way}")]
        await self._tryton.write(card["party"], values | (self._giving(given) if given else {}))

    async def _end(self, card: Row, others: list[Row], *, erase: bool) -> None:
        """Deactivate a customer who was deleted, or remove one who was erased."""
        rows = await self._contacts(["address", "=", card["address"]])
        off = {"active": False}
        values: Row = {
            "addresses": [["write", [card["address"]], off]],
            "contact_mechanisms": [["write", [row["id"] for row in rows], off]],
        }
        if not others:
            await self._close(card["party"], {} if erase else values, erase=erase, link=card["id"])
            return
        if erase:
            values = {"addresses": [["delete", [card["address"]]]]}  # with the contacts on it
        if card["party."]["name"] == card["address."]["party_name"]:
            values["name"] = others[0]["address."]["party_name"]
        await self._tryton.write(card["party"], values)

    async def _close(self, party: int, values: Row, *, erase: bool, link: int = 0) -> None:
        """Deactivate a party that has no customer any more, and erase it if that is asked."""
        if erase:  # the wizard leaves the compact form of contacts; the link stays until it is done
            rows = await self._contacts(["party", "=", party], ["id", "!=", link])
            values = {"contact_mechanisms": [["delete", [row["id"] for row in rows]]]}
        await self._tryton.write(party, {"active": False, **values})
        if erase:
            await self._tryton.erase(party)


def contacts(customer: Customer) -> set[str]:
    """Return what two records of one person share: the e-mail, or the telephone with the whole name.

    A telephone counts only with a surname: two people who are called "Unknown Unknown" are not one.
    """
    name = f"{customer.first_name or ''} {customer.last_name or ''}"
    has_surname = any(reason == "telephone and surname" for reason, _ in contacts_of(customer))
    telephone = customer.telephone if has_surname else None
    whole = Customer("cst-0", last_name=name, email=customer.email, telephone=telephone)
    return {contact for _, contact in contacts_of(whole)}


def person_of(row: Row) -> Customer:
    """Return the person whom a contact of Tryton belongs to, as far as `contacts` needs to know."""
    field = "email" if row["type"] == "email" else "telephone"
    return Customer("cst-0", **{"last_name": row["party."]["name"], field: row["value"]})


def fields_of(change: Created | Updated) -> tuple[str, ...]:
    return change.fields if isinstance(change, Updated) else EVERYTHING


def withdrawn(change: Change) -> set[str]:
    """Return the ways in which a change says that a customer may not be contacted."""
    if isinstance(change, Deleted | Erased):
        return set(CONSENTS)
    return {way for way in CONSENTS.keys() - agreed(change.after) if touches(fields_of(change), f"consent.{way}")}


def comes_first(change: Change) -> bool:
    return bool(withdrawn(change)) and (change.kind != "created" or change.consent_changed)


def touches(fields: Iterable[str], *paths: str) -> bool:
    """Say whether one of these paths, or the part that it is in, is among the fields."""
    return any(f"{path}.".startswith(f"{field}.") for field in fields for path in paths)


def value_of(customer: Customer, paths: tuple[str, ...], joint: str) -> str | None:
    """Return what a customer has at these paths, joined; None if there is nothing."""
    texts: list[str] = []
    for path in paths:
        value: Any = customer
        for name in path.split("."):
            value = getattr(value, name, None)
        if isinstance(value, str) and value.strip():
            texts.append(" ".join(value.split()) if joint else value.strip())
    return joint.join(texts) or None


def values_of(customer: Customer, fields: tuple[str, ...], where: str, unreadable: Iterable[str] = ()) -> Row:
    """Return what these fields are in Tryton; what has a part that cannot be read now is left as it is there."""
    return {
        target.removeprefix(f"{where}."): value_of(customer, paths, joint)
        for paths, target, joint in MAPPING
        if target.startswith(f"{where}.") and touches(fields, *paths) and not touches(unreadable, *paths)
    }


async def keep_in_step(ts: TicketSource, store: CustomerStore, tryton: Tryton) -> None:
    failures: list[Exception] = []
    changes, is_whole = await read_changes(ts, store, failures.append)
    in_step = InStep(tryton, store)
    await in_step.prepare(failures.append)
    written = 0
    for change in sorted(changes, key=comes_first, reverse=True):
        try:
            if is_whole:
                await patiently(partial(in_step.apply, change))
                await store.acknowledge(change)
                written += 1
            else:
                await patiently(partial(in_step.withdraw, change))
        except Refused as error:
            error.add_note(f"This was to write {change.id}, which was {change.kind}.")
            failures.append(error)
    print(f"{written} of {len(changes)} changes are written.")
    if failures:
        raise ExceptionGroup("All is in step but this, which the next run tries again", failures)


async def main(password: str) -> None:
    async with (
        TicketSource.from_env() as ts,
        CustomerStore("customers.db") as store,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http,
    ):
        tryton = Tryton(http, os.environ["TRYTON_URL"])
        await tryton.log_in(os.environ["TRYTON_USER"], password)
        await keep_in_step(ts, store, tryton)


if __name__ == "__main__":
    asyncio.run(main(Path(os.environ["TRYTONPASSFILE"]).read_text(encoding="utf-8").strip()))
