"""The customers in Tryton, a CRM: run `python with_tryton.py` every night.

Set TRYTON_URL (such as https://crm.example.com/the-database/rpc/), TRYTON_USER, TRYTONPASSFILE, a file with the
password, and what `TicketSource.from_env` needs. `customers.db` in the current folder has the customers of the last
run. MAPPING says which field goes where. For HubSpot, Salesforce or CiviCRM, change it, and the calls of `Tryton`.

A customer is one address of a party. On the address are the e-mail, the telephone, and the *link*: a contact named
"TicketSource" with the customer's id, by which the program finds the customer again. It looks for a new customer by
e-mail, or else by telephone and name. If one active party has them, that party gets the address and keeps what it has.
If several have them, it is unknown which one it is: they get no consent, and the customer is reported. If none has
them, the program makes a party, with the customer's id as its code. Tryton refuses the same code for a second party, so
no party is made twice, even if an answer of Tryton is lost.

Consents are categories of the party. Several customers can be one party, which has a category only if all of them
agree. A withdrawal is applied to all parties with the same e-mail, or telephone and name, before the customer is
written. Only fields that changed in TicketSource are written, so what the staff changed in others stays.

- Deleted: the address is deactivated, and the consents are removed. A party without another customer is deactivated.
- Erased: the address is removed. Tryton's own wizard erases a party without another customer.

The program may be killed at any moment. A change is acknowledged when it is in Tryton. If it is not, it comes again in
the next run, and to apply it twice makes no difference. A change that Tryton refuses is reported and comes again.
"""

import asyncio
import base64
import os
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import aiohttp
from in_step import Refused, Unavailable, agreed, opened, patiently, read_changes, report, secret

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

# Fields of a customer, where they go in Tryton, and the text that joins them there.
MAPPING = (
    (("first_name", "last_name"), "party.name", " "),
    (("first_name", "last_name"), "address.party_name", " "),
    (("address.line_1", "address.line_2", "address.line_3", "address.line_4"), "address.street", "\n"),
    (("address.postcode",), "address.postal_code", ""),
    (("email",), "contact.email", ""),
    (("telephone",), "contact.phone", ""),  # "contact.other" if Tryton checks numbers and refuses yours
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
    """A session of Tryton. Make one call at a time: parallel creates can get the same code, which Tryton refuses."""

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
        """Write a party and the records that belong to it, all or nothing."""
        if values:
            await self.call("model.party.party.write", [party], values, {})

    async def erase(self, party: int) -> None:
        """Remove all data of a party that is not active."""
        session, *_ = await self.call("wizard.party.erase.create", {})
        await self.call("wizard.party.erase.execute", session, {"ask": {"party": party}}, "erase", {})
        await self.call("wizard.party.erase.delete", session, {})


class InStep:
    """Applies one change at a time to Tryton."""

    def __init__(self, tryton: Tryton, store: CustomerStore) -> None:
        self._tryton, self._store = tryton, store
        self._categories: dict[str, int] = {}
        self._refusals: dict[str, dict[str, set[str]]] = {}

    async def prepare(self, on_failure: Callable[[Exception], None]) -> None:
        """Make the categories, and collect refusals: several customers may have the same e-mail."""
        for way, name in CONSENTS.items():
            found = await self._tryton.search("party.category", [["name", "=", name], ["parent", "=", None]])
            made = found[0]["id"] if found else await self._tryton.create("party.category", {"name": name})
            self._categories[way] = made
        async for customer in self._store.customers(on_damaged=on_failure):
            for contact in contacts(customer):
                self._refusals.setdefault(contact, {})[customer.id] = CONSENTS.keys() - agreed(customer)

    async def withdraw(self, change: Change) -> list[Row]:
        """Remove withdrawn consents, write nothing else, and return the links of the customer."""
        ways = withdrawn(change)
        if not isinstance(change, Deleted | Erased):
            if touches(fields_of(change), "email", "telephone", "first_name", "last_name"):
                ways |= self._refused_by_others(change.after)
            rows = await self._contacts_like(change.after) if ways else []
            await self._remove_consents({row["party"] for row in rows}, ways)
        links = await self._links(change.id)
        for link in links:
            if isinstance(change, Deleted | Erased):
                ways = CONSENTS.keys() - await self._agreed(await self._others(link))
            await self._remove_consents({link["party"]}, ways)
        return links

    async def apply(self, change: Change) -> None:
        """Bring a change into Tryton. If it is there already, this makes no difference."""
        links = await self.withdraw(change)
        if isinstance(change, Deleted | Erased):
            for link in links:
                await self._end(link, await self._others(link), erase=isinstance(change, Erased))
            for party in await self._party_made_for(change.id) if not links else ():  # it has no address, or no longer
                if not await self._others({"party": party["id"], "address": None}):
                    await self._remove_consents({party["id"]}, CONSENTS)
                    await self._close(party["id"], {}, erase=isinstance(change, Erased))
        elif links:
            for surplus in links[1:]:  # an answer was lost, and Tryton was slower than the next run
                await self._tryton.write(surplus["party"], {"addresses": [["delete", [surplus["address"]]]]})
            await self._update(links[0], change.after, fields_of(change))
        elif any(value_of(change.after, paths, "") for paths, _, _ in MAPPING):
            await self._add(change.after)

    async def _contacts(self, *domain: list[Any]) -> list[Row]:
        of_others = ("party.name", "party.active", "address.party_name", "address.active")
        names = ("type", "name", "value", "party", "address", "active", *of_others)
        return await self._tryton.search("party.contact_mechanism", list(domain), *names)

    async def _links(self, customer_id: str) -> list[Row]:
        """Return the links of a customer to a party and an address: at most one, but see `apply`."""
        return await self._contacts(*LINK, ["value", "=", customer_id], ["address", "!=", None])

    async def _party_made_for(self, customer_id: str) -> list[Row]:
        """Return the party that was made for a customer, if there is one."""
        return await self._tryton.search("party.party", [["code", "=", customer_id]], "active")

    async def _others(self, link: Row) -> list[Row]:
        """Return the links of the other customers of the same party, without deleted customers."""
        others = await self._contacts(*LINK, ["party", "=", link["party"]], ["address", "!=", link["address"]])
        return [other for other in others if other["active"] or await self._store.get(other["value"])]

    async def _contacts_like(self, customer: Customer) -> list[Row]:
        """Return the contacts of active parties with a customer's e-mail, or telephone and name."""
        alike: list[Any] = ["OR"]
        if customer.email:
            pattern = re.sub(r"([\\%_])", r"\\\1", customer.email.strip())
            alike.append([["type", "=", "email"], ["value", "ilike", pattern]])
        if len(digits := re.sub(r"\D", "", customer.telephone or "")[-6:]) == 6:  # with any characters between them
            numbers = ["type", "in", ["phone", "mobile", "other"]]
            alike.append([numbers, ["value", "ilike", f"%{'%'.join(digits)}%"]])
        if len(alike) == 1:
            return []
        rows = await self._contacts(alike, ["active", "=", True], ["party.active", "=", True])
        return [row for row in rows if contacts(customer) & contacts(person_of(row))]

    def _refused_by_others(self, customer: Customer) -> set[str]:
        """Return the ways that another customer with the same e-mail, or telephone and name, refuses."""
        found = (self._refusals.get(contact, {}) for contact in contacts(customer))
        return {way for refusals in found for who, ways in refusals.items() if who != customer.id for way in ways}

    async def _agreed(self, links: list[Row], *also: Customer) -> set[str]:
        """Return the ways that all of these customers agree to, and all who share an e-mail with one of them."""
        people = [*also, *[await self._store.get(link["value"]) for link in links]]
        ways = set(CONSENTS if people else ())
        for person in people:  # None is a customer who is no longer in the store
            ways &= agreed(person) - (self._refused_by_others(person) if person else set())
        return ways

    async def _remove_consents(self, parties: set[int], ways: Iterable[str]) -> None:
        categories = [self._categories[way] for way in ways]
        having = [["id", "in", list(parties)], ["categories", "in", categories]]
        for party in await self._tryton.search("party.party", having) if parties and categories else ():
            await self._tryton.write(party["id"], {"categories": [["remove", categories]]})

    def _adding_consents(self, ways: Iterable[str]) -> Row:
        return {"categories": [["add", [self._categories[way] for way in ways]]]}

    async def _add(self, customer: Customer) -> None:
        """Add a customer to their party, or to a new one."""
        made = await self._party_made_for(customer.id)
        if made and not made[0]["active"]:
            raise Refused(f"{customer.id} was party {made[0]['id']}, which is not active any more: decide in Tryton")
        rows = [] if made else await self._contacts_like(customer)
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
            await self._remove_consents({party}, CONSENTS.keys() - ways)
        contact = values_of(customer, EVERYTHING, "contact")
        there = {row["type"]: row["id"] for row in rows if row["party"] == party and row["address"] is None}
        new: list[Row] = [{"party": party, "type": "other", "name": "TicketSource", "value": customer.id}]
        new += [{"party": party, "type": kind, "value": text} for kind, text in contact.items() if kind not in there]
        known = ["add", [there[kind] for kind in contact if kind in there]]
        address = {
            **values_of(customer, EVERYTHING, "address"),
            "contact_mechanisms": [["create", [row for row in new if row["value"]]], known],
        }
        await self._tryton.write(party, {**values, "addresses": [["create", [address]]], **self._adding_consents(ways)})

    async def _update(self, link: Row, customer: Customer, fields: tuple[str, ...]) -> None:
        """Write the fields of a customer that changed."""
        on_address = await self._contacts(["address", "=", link["address"]])
        address = values_of(customer, fields, "address", customer.invalid)
        active = {"addresses": [["write", [link["address"]], {"active": True}]]}
        # Tryton refuses to write inactive records, so they are activated first.
        if not link["active"]:  # the customer was deleted, and exists again
            those = [["write", [row["id"] for row in on_address], {"active": True}]]
            await self._tryton.write(link["party"], {"active": True, "contact_mechanisms": those, **active})
        elif not link["party."]["active"]:
            raise Refused(f"{customer.id} is party {link['party']}, which is not active: activate it in Tryton")
        elif address and not link["address."]["active"]:
            await self._tryton.write(link["party"], active)
        others = await self._others(link)
        values = values_of(customer, fields, "party", customer.invalid)
        if others and link["party."]["name"] != link["address."]["party_name"]:
            values.pop("name", None)  # the party has the name of another customer
        contact = values_of(customer, fields, "contact", customer.invalid)
        rows: list[Any] = []
        usable = [row for row in on_address if row["id"] != link["id"] and (row["active"] or not link["active"])]
        for kind, text in contact.items():
            there = [row["id"] for row in usable if row["type"] == kind][:1]
            if there:
                rows.append(["write", there, {"value": text}] if text else ["delete", there])
            elif text:
                rows.append(["create", [{"address": link["address"], "type": kind, "value": text}]])
        values |= {"addresses": [["write", [link["address"]], address]]} if address else {}
        values |= {"contact_mechanisms": rows} if rows else {}
        given = [way for way in await self._agreed(others, customer) if touches(fields, f"consent.{way}")]
        await self._tryton.write(link["party"], values | (self._adding_consents(given) if given else {}))

    async def _end(self, link: Row, others: list[Row], *, erase: bool) -> None:
        """Deactivate a customer who was deleted, or remove one who was erased."""
        rows = await self._contacts(["address", "=", link["address"]])
        off = {"active": False}
        values: Row = {
            "addresses": [["write", [link["address"]], off]],
            "contact_mechanisms": [["write", [row["id"] for row in rows], off]],
        }
        if not others:
            await self._close(link["party"], {} if erase else values, erase=erase, link_id=link["id"])
            return
        if erase:
            values = {"addresses": [["delete", [link["address"]]]]}  # with the contacts on it
        if link["party."]["name"] == link["address."]["party_name"]:
            values["name"] = others[0]["address."]["party_name"]
        await self._tryton.write(link["party"], values)

    async def _close(self, party: int, values: Row, *, erase: bool, link_id: int = 0) -> None:
        """Deactivate a party without customers, and erase it if `erase` is set. `link_id` is the id of its link."""
        if erase:  # the wizard leaves the compact form of contacts; the link stays until the party is erased
            rows = await self._contacts(["party", "=", party], ["id", "!=", link_id])
            values = {"contact_mechanisms": [["delete", [row["id"] for row in rows]]]}
        await self._tryton.write(party, {"active": False, **values})
        if erase:
            await self._tryton.erase(party)


def contacts(customer: Customer) -> set[str]:
    """Return the contacts that two records of one person share: the e-mail, or the telephone with the whole name.

    A telephone counts only with a surname: two people named "Unknown Unknown" are not one person.
    """
    name = f"{customer.first_name or ''} {customer.last_name or ''}"
    has_surname = any(reason == "telephone and surname" for reason, _ in contacts_of(customer))
    telephone = customer.telephone if has_surname else None
    whole = Customer("cst-0", last_name=name, email=customer.email, telephone=telephone)
    return {contact for _, contact in contacts_of(whole)}


def person_of(row: Row) -> Customer:
    """Return the person of a contact of Tryton, with the fields that `contacts` needs."""
    field = "email" if row["type"] == "email" else "telephone"
    return Customer("cst-0", **{"last_name": row["party."]["name"], field: row["value"]})


def fields_of(change: Created | Updated) -> tuple[str, ...]:
    return change.fields if isinstance(change, Updated) else EVERYTHING


def withdrawn(change: Change) -> set[str]:
    """Return the ways in which a customer may not be contacted after a change."""
    if isinstance(change, Deleted | Erased):
        return set(CONSENTS)
    return {way for way in CONSENTS.keys() - agreed(change.after) if touches(fields_of(change), f"consent.{way}")}


def comes_first(change: Change) -> bool:
    return bool(withdrawn(change)) and (change.kind != "created" or change.consent_changed)


def touches(fields: Iterable[str], *paths: str) -> bool:
    """Return whether one of these paths, or the part that it is in, is among the fields."""
    return any(f"{path}.".startswith(f"{field}.") for field in fields for path in paths)


def value_of(customer: Customer, paths: tuple[str, ...], joint: str) -> str | None:
    """Return the texts of a customer at these paths, joined, or None if there are none."""
    texts: list[str] = []
    for path in paths:
        value: Any = customer
        for name in path.split("."):
            value = getattr(value, name, None)
        if isinstance(value, str) and value.strip():
            texts.append(" ".join(value.split()) if joint else value.strip())
    return joint.join(texts) or None


def values_of(customer: Customer, fields: tuple[str, ...], where: str, unreadable: Iterable[str] = ()) -> Row:
    """Return the values for Tryton of these fields, without values that are unreadable in part."""
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
    report(f"{written} of {len(changes)} changes are written.", failures)


async def main() -> None:
    async with opened() as (ts, store, http):
        tryton = Tryton(http, os.environ["TRYTON_URL"])
        await tryton.log_in(os.environ["TRYTON_USER"], secret("TRYTONPASSFILE"))
        await keep_in_step(ts, store, tryton)


if __name__ == "__main__":
    asyncio.run(main())
