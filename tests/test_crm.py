"""The example for a CRM, run against a real Tryton. Its staff edits parties, and some of its answers are lost."""

import importlib
import itertools
import json
import random
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from attrs import define, field
from crm import CRM, Example, people
from loops import until_others
from servers import TrytonServer

from ticketsource_async import Customer
from ticketsource_async.sandbox import Sandbox

EMAIL, POST, SMS = "May be e-mailed", "May be sent post", "May be sent text messages"
ALL = {"email": True, "post": True, "sms": True}
NONE = {"email": False, "post": False, "sms": False}
NOTED = {"type": "phone", "value": "01632 960004"}
KINDS = ("other", "email", "phone", "mobile", "website", "address")


class Staff:
    """The staff of the CRM. They read and edit parties by the same calls as Tryton's own client."""

    def __init__(self, tryton: Any) -> None:
        self.tryton = tryton

    async def parties(self) -> dict[int, dict[str, Any]]:
        """Return all parties, with their active contacts and addresses, and the ids of their customers."""
        found: dict[int, dict[str, Any]] = {}
        for row in await self.tryton.search("party.party", [], "name", "active", "categories.name"):
            categories = {one["name"] for one in row["categories."]}
            lists: dict[str, list[Any]] = {kind: [] for kind in KINDS}
            found[row["id"]] = {"name": row["name"], "active": bool(row["active"]), "may": categories, **lists}
        active = [["active", "=", True]]
        for row in await self.tryton.search("party.contact_mechanism", active, "party", "type", "value"):
            found[row["party"]][row["type"]].append(row["value"])
        names = ("party", "party_name", "street", "postal_code")
        for row in await self.tryton.search("party.address", active, *names):
            found[row["party"]]["address"].append((row["party_name"], row["street"], row["postal_code"]))
        return found

    async def id_of(self, customer_id: str) -> int:
        """Return the id of the only party of a customer."""
        (party,) = [key for key, party in (await self.parties()).items() if customer_id in party["other"]]
        return party

    async def party_of(self, customer_id: str) -> dict[str, Any]:
        """Return the only party of a customer."""
        return (await self.parties())[await self.id_of(customer_id)]

    async def active(self) -> list[dict[str, Any]]:
        """Return the active parties."""
        return [party for party in (await self.parties()).values() if party["active"]]

    async def write(self, model: str, domain: list[Any], values: dict[str, Any]) -> None:
        """Change the records that a search finds."""
        ids = [row["id"] for row in await self.tryton.search(model, domain)]
        assert ids
        await self.tryton.call(f"model.{model}.write", ids, values, {})

    async def add(self, name: str, **contacts: str) -> int:
        """Add a party."""
        rows = [{"type": kind, "value": value} for kind, value in contacts.items()]
        party: int = await self.tryton.create("party.party", {"name": name, "contact_mechanisms": [["create", rows]]})
        return party

    async def knows(self, text: str) -> bool:
        """Return whether any party still has a text."""
        rows = [
            await self.tryton.search("party.party", [], "name"),
            await self.tryton.search("party.contact_mechanism", [], "value", "value_compact", "name", "comment"),
            await self.tryton.search("party.address", [], "party_name", "street", "postal_code"),
        ]
        return text in str(rows)


@pytest.fixture(name="staff")
async def _staff(tryton_server: TrytonServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Staff]:
    monkeypatch.syspath_prepend(str(CRM))
    program = importlib.import_module("with_tryton")
    async with aiohttp.ClientSession() as http:
        tryton = program.Tryton(http, tryton_server.url)
        await tryton.log_in("admin", tryton_server.PASSWORD)
        yield Staff(tryton)
    for name in ("with_tryton", "in_step"):
        sys.modules.pop(name, None)


@pytest.fixture(name="office")
async def _office() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=0, rate_limit=None) as box:
        yield box


@pytest.fixture(name="run")
def _run(office: Sandbox, tryton_server: TrytonServer, tmp_path: Path) -> Example:
    return example(office, tryton_server, tmp_path)


def example(box: Sandbox, server: TrytonServer, folder: Path, url: str | None = None) -> Example:
    """Return the program, with this address of Tryton."""
    password = {"TRYTONPASSFILE": str(server.password_file), "TRYTON_USER": "admin"}
    return Example("with_tryton.py", box, folder, TRYTON_URL=url or server.url, **password)


def add_person(box: Sandbox, name: str, consent: object, **attributes: object) -> str:
    """Add a customer and return the id."""
    (customer_id,) = box.customers.insert(1)
    blank: dict[str, object] = {"telephone": None, "address": {}, "email": None, "membership": None}
    first, _, last = name.partition(" ")
    names = {"first_name": first, "last_name": last}
    box.customers.overwrite(customer_id, {**blank, **names, "consent": consent, **attributes})
    return customer_id


def expected(customer: Customer) -> dict[str, Any]:
    """Return the expected party of a customer."""
    address = customer.address
    lines = [] if address is None else [address.line_1, address.line_2, address.line_3, address.line_4]
    street = "\n".join(" ".join(line.split()) for line in lines if line) or None
    name = " ".join(f"{customer.first_name or ''} {customer.last_name or ''}".split()) or None
    consent = customer.consent
    ways = {EMAIL: "email", POST: "post", SMS: "sms"}
    return {
        "name": name,
        "active": True,
        "may": {category for category, way in ways.items() if getattr(consent, way, None) is True},
        "other": [customer.id],
        "email": [customer.email.strip()] if customer.email else [],
        "phone": [customer.telephone.strip()] if customer.telephone else [],
        "mobile": [],
        "website": [],
        "address": [(name, street, None if address is None else address.postcode)],
    }


async def assert_in_step(staff: Staff, box: Sandbox) -> None:
    """Compare the active parties with the customers, who all have different e-mails."""
    found = {party["other"][0]: party for party in await staff.active()}
    assert found == {customer.id: expected(customer) for customer in people(box).values()}


@define
class Proxy:
    """A proxy in front of Tryton. `calls` has the calls that Tryton has done, `lost` those whose answer was lost."""

    url: str = ""
    calls: list[str] = field(factory=list)
    lost: list[str] = field(factory=list)


NO_LOSSES = (False,)
SOME_LOSSES = (*[False] * 6, True, *[False] * 7, True)
"""Which answers to writes are lost. To apply one change takes fewer writes than there are between two losses."""


@asynccontextmanager
async def proxy(url: str, losses: Sequence[bool] = NO_LOSSES) -> AsyncIterator[Proxy]:
    """Forward calls to Tryton, and lose some answers."""
    made = Proxy()
    is_lost = itertools.cycle(losses)
    async with aiohttp.ClientSession() as http:

        async def forward(request: web.Request) -> web.Response:
            body = await request.read()
            headers = {
                name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers
            }
            async with http.post(url, data=body, headers=headers) as response:
                answer = await response.read()
            method = re.findall(rb'"method": ?"([^"]*)"', body)[0].decode()
            made.calls.append(method)
            if method.endswith((".create", ".write", ".execute")) and next(is_lost):
                made.lost.append(method)
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=response.status, body=answer, content_type="application/json")

        app = web.Application(client_max_size=10**7)
        app.router.add_post("/crm/rpc/", forward)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        made.url = f"http://{host}:{port}/crm/rpc/"
        yield made
        await runner.cleanup()


async def killed(run: Example, proxy: Proxy, calls: int) -> bool:
    """Run the program and kill it after this number of calls to Tryton; return whether it was still at work."""
    process = await run.start()
    until = len(proxy.calls) + calls
    await until_others(lambda: len(proxy.calls) >= until or process.returncode is not None)
    if process.returncode is None:
        process.kill()
    await process.communicate()
    return process.returncode != 0


async def test_tryton_is_in_step_though_the_program_is_killed_and_the_staff_edits(
    staff: Staff, tryton_server: TrytonServer, tmp_path: Path
) -> None:
    """Each customer is one party, nothing is written twice, and what the staff changed in other fields stays."""
    chance = random.Random(25)
    async with proxy(tryton_server.url) as before_tryton, Sandbox(customers=30, rate_limit=None) as box:
        run = example(box, tryton_server, tmp_path, before_tryton.url)
        edited, withdrew, purged, gone, moved, new_email = box.customers.ids(0, 6)
        box.customers.update(edited, {"telephone": "01632 960001"})
        box.customers.update(withdrew, {"consent": ALL})
        box.customers.update(purged, {"email": "purged@example.com"})
        for _ in range(4):
            await killed(run, before_tryton, chance.randrange(1, 60))
        await run()
        await assert_in_step(staff, box)
        again = await run()

        await staff.write("party.address", [["party", "=", await staff.id_of(moved)]], {"city": "Oldtown"})
        phone = [["type", "=", "phone"], ["party", "=", await staff.id_of(edited)]]
        await staff.write("party.contact_mechanism", phone, {"value": "01632 960999"})
        box.customers.update(edited, {"email": "edited@example.com"})
        box.customers.update(withdrew, {"consent": NONE})
        box.customers.update(moved, {"address": {"line_1": "2 New Street", "postcode": "NE1 1AA"}})
        box.customers.update(new_email, {"email": "new@example.com", "consent": ALL, "last_name": "Renamed"})
        box.customers.purge(purged)
        box.customers.delete([gone])
        kills = [await killed(run, before_tryton, chance.randrange(1, 30)) for _ in range(3)]
        await run()

        parties = await staff.parties()
        by_customer = {party["other"][0]: party for party in parties.values() if party["active"]}
        wanted = {customer.id: expected(customer) for customer in people(box).values() if customer.id != purged}
        wanted[edited]["phone"] = ["01632 960999"]
        cities = await staff.tryton.search("party.address", [["city", "=", "Oldtown"]])

    assert "0 of 0 changes" in again
    assert by_customer == wanted
    assert by_customer[withdrew]["may"] == set()
    assert len(parties) == 30
    assert len(cities) == 1
    assert any(kills)
    assert not await staff.knows("purged@example.com")
    (ended,) = [party for party in parties.values() if not party["active"] and party["name"]]
    assert (ended["may"], ended["email"], ended["other"]) == (set(), [], [])


async def test_existing_parties_are_found_by_email_or_by_telephone_and_name(
    staff: Staff, office: Sandbox, run: Example
) -> None:
    """A found party keeps its data and gets no consent that the customer did not give."""
    ann = await staff.add("Ann Example-Jones", email="Ann_1@Example.com", website="https://example.com/1632960001")
    bob = await staff.add("Bob Sample", mobile="+44 (0)1632-960 001")
    wife = await staff.add("Bea Sample", phone="01632 960001")
    await run()
    await staff.write("party.party", [], {"categories": [["add", [1, 2, 3]]]})
    ann_1 = add_person(office, "Ann Jones", {**ALL, "sms": None}, email="ann_1@example.COM", telephone="01632960002")
    bob_1 = add_person(office, "bob SAMPLE", {**NONE, "post": True}, telephone="01632 960001")
    other = add_person(office, "Ann Other", ALL, email="annx1@example.com")  # `_` is no wildcard
    nobody = add_person(office, " ", NONE)
    await run()
    parties = await staff.parties()

    assert set(parties) == {ann, bob, wife, await staff.id_of(other)}
    assert (parties[ann]["name"], parties[ann]["other"], parties[ann]["may"]) == (
        *("Ann Example-Jones", [ann_1], {EMAIL, POST}),
    )
    assert (parties[ann]["email"], parties[ann]["phone"]) == (["Ann_1@Example.com"], ["01632960002"])
    assert (parties[bob]["name"], parties[bob]["other"], parties[bob]["may"]) == ("Bob Sample", [bob_1], {POST})
    assert (parties[wife]["other"], parties[wife]["may"]) == ([], {EMAIL, POST, SMS})
    assert nobody not in str(parties)


async def test_customers_with_placeholders_are_separate_parties(staff: Staff, office: Sandbox, run: Example) -> None:
    """Many customers have no name, or a placeholder as telephone. Only the e-mail finds a party for them."""
    nobody = await staff.add("Unknown", phone="01632 960001")
    cy = await staff.add("Cy Sample", phone="0123456789")
    known = await staff.add("Unknown Unknown", phone="01632 960001", email="known@example.com")
    names = ("Unknown Unknown", "Unknown Unknown", " Unknown", "Unknown ", "Ann N/A", "N/A N/A", "Test Test", "X X")
    alike = [add_person(office, name, NONE, telephone="01632 960001") for name in names]
    alike.append(add_person(office, "Cy Sample", NONE, telephone="0123456789"))
    found = add_person(office, "Unknown Unknown", ALL, email="known@example.com", telephone="01632 960001")
    await run()
    parties = await staff.parties()

    assert [parties[party]["other"] for party in (nobody, cy, known)] == [[], [], [found]]
    assert parties[known]["may"] == {EMAIL, POST, SMS}
    others = [party["other"] for key, party in parties.items() if key not in (nobody, cy, known)]
    assert sorted(others) == sorted([one] for one in alike)


async def test_a_party_of_several_customers_has_only_the_consents_that_all_give(
    staff: Staff, office: Sandbox, run: Example
) -> None:
    """A deletion and a purge give no consent, and the other customers keep their data."""
    first = add_person(office, "Ann Example", ALL, email="ann@example.com", telephone="01632 960001")
    second = add_person(office, "Anna Example", {**ALL, "sms": False}, email="ANN@example.com")
    await run()
    shared = await staff.party_of(first)
    office.customers.update(second, {"consent": {**ALL, "email": False}, "address": {"postcode": "NE1 1AA"}})
    await run()
    withdrawn = await staff.party_of(first)
    office.customers.delete([second])
    await run()
    alone = await staff.party_of(first)
    third = add_person(office, "Andy Example", ALL, email="ann@example.com", telephone="01632 960003")
    await run()
    with_third = await staff.party_of(first)
    office.customers.purge(first)
    await run()
    rest = await staff.party_of(third)
    office.customers.purge(third, form="gone")
    await run()

    assert shared["other"] == [first, second]
    assert shared["may"] == {EMAIL, POST}
    assert [name for name, *_ in shared["address"]] == ["Ann Example", "Anna Example"]
    assert withdrawn["may"] == {POST, SMS}
    assert (alone["other"], alone["may"], alone["email"]) == ([first], {POST, SMS}, ["ann@example.com"])
    assert with_third["may"] == {EMAIL, POST, SMS}
    assert (rest["name"], rest["other"], rest["may"]) == ("Andy Example", [third], {EMAIL, POST, SMS})
    assert (rest["phone"], rest["email"]) == (["01632 960003"], ["ann@example.com"])
    assert not await staff.knows("01632 960001")
    assert await staff.active() == []


async def test_an_erased_person_may_not_be_contacted_even_if_the_consents_say_yes(
    staff: Staff, office: Sandbox, run: Example
) -> None:
    """Neither when they are erased, nor when a consent of the empty record changes later."""
    first = add_person(office, "Ann Example", ALL, email="ann@example.com")
    second = add_person(office, "Anna Example", {**ALL, "sms": False}, email="ann@example.com")
    await run()
    for who in (second, first):
        office.customers.purge(who)
        office.customers.overwrite(who, {"consent": ALL})
    await run()
    active = await staff.active()
    for consent in (NONE, ALL):
        office.customers.overwrite(first, {"consent": consent})
        await run()

    assert active == await staff.active() == []


async def test_an_unreadable_consent_is_withdrawn_and_other_unreadable_values_are_kept(
    staff: Staff, office: Sandbox, run: Example
) -> None:
    """Values that can be read again are written."""
    address = {"line_1": "1 High Street", "line_2": "Newtown", "postcode": "NE1 1AA"}
    who = add_person(office, "Ann Example", ALL, email="ann@example.com", telephone="01632 960001", address=address)
    await run()
    odd = {"email": "true", "post": 1, "sms": True}
    odd_address = {"line_1": "2 High Street", "line_2": ["Newtown"], "postcode": "NE1 1AB"}
    office.customers.overwrite(who, {"consent": odd, "telephone": ["01632"], "address": odd_address})
    await run()
    unreadable = await staff.party_of(who)
    fine = {**odd_address, "line_2": "Newtown"}
    office.customers.overwrite(who, {"consent": ALL, "telephone": "01632 960002", "address": fine})
    await run()

    assert unreadable["may"] == {SMS}
    assert unreadable["phone"] == ["01632 960001"]
    assert unreadable["address"] == [("Ann Example", "1 High Street\nNewtown", "NE1 1AB")]
    assert await staff.party_of(who) == expected(people(office)[who])


async def test_a_change_that_tryton_refuses_is_reported_and_written_by_a_later_run(
    staff: Staff, office: Sandbox, run: Example
) -> None:
    """The same is true for a customer who may be one of two parties. These parties keep no consent."""
    twice = [await staff.add(name, email="two@example.com") for name in ("Two Example", "Tom Example")]
    await run()
    await staff.write("party.party", [], {"categories": [["add", [1, 2, 3]]]})
    bad = add_person(office, "Bad Example", ALL, email="bad\n@example.com")
    two = add_person(office, "Two Example", NONE, email="two@example.com")
    good = add_person(office, "Good Example", ALL, email="good@example.com")
    shy = add_person(office, "Shy Example", ALL, email="shy@example.com")
    refused = add_person(office, "Shy Example", NONE, email="SHY@example.com", telephone="01632\n960001")
    said = await run(ends_in=1)
    parties = await staff.parties()
    office.customers.overwrite(bad, {"email": "bad@example.com"})
    office.customers.overwrite(refused, {"telephone": "01632 960001"})
    await staff.write("party.party", [["id", "=", twice[1]]], {"active": False})
    await run()

    assert "2 of 5 changes are written" in said
    assert "contains some invalid chars" in said
    assert f"{two} may be any of the parties {twice}: merge them in Tryton" in said
    assert [party["may"] for key, party in parties.items() if key in twice] == [set(), set()]
    assert [party["may"] for party in parties.values() if shy in party["other"]] == [set()]
    assert sorted(party["other"] for party in await staff.active()) == sorted([[bad], [two], [good], [shy, refused]])
    assert await staff.id_of(two) == twice[0]


async def test_a_deleted_customer_who_reappears_is_the_same_party(staff: Staff, office: Sandbox, run: Example) -> None:
    """A party that the staff has deactivated is not changed. A change of its customer is reported."""
    who = add_person(office, "Ann Example", ALL, email="ann@example.com", telephone="01632 960001")
    other = add_person(office, "Bob Sample", ALL, email="bob@example.com")
    await run()
    party, inactive = await staff.id_of(who), await staff.id_of(other)
    office.fail(path=f"/customers/{who}", status=404, body='{"errors": [{"status": 404, "code": "not_found"}]}')
    rows = office.customers.rows(1, 2)
    office.fail(page=1, status=200, body=json.dumps({"data": rows, "links": {}}))
    await run()
    gone = (await staff.parties())[party]
    await staff.write("party.party", [["id", "=", inactive]], {"active": False})
    office.customers.update(other, {"last_name": "Renamed"})
    office.customers.update(who, {"telephone": "01632 960002"})
    said = await run(ends_in=1)
    parties = await staff.parties()

    assert (gone["active"], gone["may"], gone["email"]) == (False, set(), [])
    assert parties[party] == expected(people(office)[who])
    assert f"{other} is party {inactive}, which is not active: activate it in Tryton" in said
    assert (parties[inactive]["name"], parties[inactive]["active"]) == ("Bob Sample", False)


async def test_a_party_is_erased_even_if_the_staff_has_deleted_its_address(
    staff: Staff, office: Sandbox, run: Example
) -> None:
    """The program finds the party by its code, which is the customer's id."""
    who = add_person(office, "Ann Example", ALL, email="ann@example.com")
    await run()
    party = await staff.id_of(who)
    await staff.write("party.party", [["id", "=", party]], {"contact_mechanisms": [["create", [NOTED]]]})
    addresses = await staff.tryton.search("party.address", [["party", "=", party]])
    await staff.tryton.call("model.party.address.delete", [row["id"] for row in addresses], {})
    office.customers.purge(who)
    await run()

    assert (await staff.parties())[party]["active"] is False
    assert (await staff.parties())[party]["may"] == set()
    assert not await staff.knows("Ann Example")
    assert not await staff.knows("01632 960004")


async def test_an_incomplete_list_withdraws_consents_and_gives_none(
    staff: Staff, office: Sandbox, run: Example
) -> None:
    """A customer on the missing page may say no."""
    first = add_person(office, "Ann Example", ALL, email="ann@example.com")
    second = add_person(office, "Bob Sample", NONE, email="bob@example.com")
    await run()
    office.customers.insert(110)
    office.customers.update(first, {"consent": NONE, "last_name": "Renamed"})
    office.customers.update(second, {"consent": ALL})
    office.fail(page=2, status=400, times=None)
    said = await run(ends_in=1)
    parties = [await staff.party_of(who) for who in (first, second)]

    assert "page 2" in said or "page=2" in said or "400" in said
    assert [party["may"] for party in parties] == [set(), set()]
    assert parties[0]["name"] == "Ann Example"
    assert len(await staff.parties()) == 2


async def test_a_party_whose_answer_was_lost_is_not_created_twice(
    staff: Staff, tryton_server: TrytonServer, tmp_path: Path
) -> None:
    """Each write whose answer was lost is done once."""
    async with (
        proxy(tryton_server.url, SOME_LOSSES) as before_tryton,
        Sandbox(customers=12, rate_limit=None) as box,
    ):
        run = example(box, tryton_server, tmp_path, before_tryton.url)
        await run()
        await assert_in_step(staff, box)
        changed = box.customers.ids(0, 6)
        for number, who in enumerate(changed):
            box.customers.update(who, {"email": f"new{number}@example.com", "consent": ALL if number % 2 else NONE})
        purged = people(box)[changed[0]]
        box.customers.purge(changed[0])
        await run()
        customers = people(box)
        del customers[purged.id]

    found = {party["other"][0]: party for party in await staff.active()}
    assert found == {customer.id: expected(customer) for customer in customers.values()}
    assert len(await staff.parties()) == 12
    assert {"model.party.party.create", "model.party.party.write"} <= set(before_tryton.lost)
