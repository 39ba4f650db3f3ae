"""The examples for a CRM and a mailing list are run against a real Tryton and a server that has a mailing list."""

import asyncio
import importlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from processes import pointed_at
from servers import TrytonServer

from ticketsource_async import Customer
from ticketsource_async.models.reader import read_row
from ticketsource_async.sandbox import Sandbox

CRM = Path(__file__).parents[1] / "examples" / "crm"
WAYS = {"email": "May be e-mailed", "post": "May be sent post", "sms": "May be sent text messages"}
ALL = {"email": True, "post": True, "sms": True}
NONE = {"email": False, "post": False, "sms": False}


class Run:
    """One example with the environment of its runs."""

    def __init__(self, program: str, box: Sandbox, folder: Path, **environment: str) -> None:
        self._command = (sys.executable, "-W", "error", str(CRM / program))
        self._folder, self._env = folder, {**pointed_at(box), **environment}

    async def start(self) -> asyncio.subprocess.Process:
        """Start the program."""
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return await asyncio.create_subprocess_exec(*self._command, cwd=self._folder, env=self._env, **pipes)

    async def __call__(self, *, ends_in: int = 0) -> str:
        """Run the program to its end and return what it said."""
        process = await self.start()
        said, _ = await process.communicate()
        assert process.returncode == ends_in, said.decode()
        return said.decode()

    async def killed_after(self, seconds: float) -> bool:
        """Run the program, kill it unless it has ended by then, and return whether it was killed."""
        process = await self.start()
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            process.kill()
        await process.communicate()
        return process.returncode != 0


def people(box: Sandbox) -> dict[str, Customer]:
    """Return the customers of a box office as they are."""
    rows = [read_row(row, Customer) for row in box.customers.rows(0, len(box.customers))]
    return {customer.id: customer for customer in rows}


class Staff:
    """Somebody at the CRM who looks at it, and edits it, by the same calls as its own client."""

    def __init__(self, tryton: Any) -> None:
        self.tryton = tryton

    async def parties(self) -> dict[int, dict[str, Any]]:
        """Return all parties with what is active of them, and the ids of their customers."""
        names = ("name", "code", "active", "categories.name")
        found = {
            row["id"]: {
                "name": row["name"],
                "active": bool(row["active"]),
                "email": [],
                "phone": [],
                "customers": [],
                "categories": {one["name"] for one in row["categories."]},
                "addresses": [],
            }
            for row in await self.tryton.search("party.party", [], *names)
        }
        contacts = await self.tryton.search(
            "party.contact_mechanism", [["active", "=", True]], "party", "type", "value"
        )
        for row in contacts:
            kind = "customers" if row["type"] == "other" else row["type"]
            found[row["party"]].setdefault(kind, []).append(row["value"])
        names = ("party", "party_name", "street", "postal_code")
        for row in await self.tryton.search("party.address", [["active", "=", True]], *names):
            found[row["party"]]["addresses"].append((row["party_name"], row["street"], row["postal_code"]))
        return found

    async def party_of(self, customer_id: str) -> dict[str, Any]:
        """Return the one party that a customer is."""
        (party,) = [party for party in (await self.parties()).values() if customer_id in party["customers"]]
        return party

    async def id_of(self, customer_id: str) -> int:
        """Return the id of the one party that a customer is."""
        (party,) = [key for key, party in (await self.parties()).items() if customer_id in party["customers"]]
        return party

    async def write(self, model: str, ids: list[int], values: dict[str, Any]) -> None:
        """Change records."""
        await self.tryton.call(f"model.{model}.write", ids, values, {})


@pytest.fixture(name="staff")
async def _staff(tryton_server: TrytonServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Staff]:
    monkeypatch.syspath_prepend(str(CRM))
    module = importlib.import_module("with_tryton")
    async with aiohttp.ClientSession() as http:
        tryton = module.Tryton(http, tryton_server.url)
        await tryton.log_in("admin", tryton_server.PASSWORD)
        yield Staff(tryton)
    for name in ("with_tryton", "in_step"):
        sys.modules.pop(name, None)


def tryton_run(box: Sandbox, server: TrytonServer, folder: Path, url: str | None = None) -> Run:
    """Return the runs of the example for Tryton."""
    password = {"TRYTONPASSFILE": str(server.password_file), "TRYTON_USER": "admin"}
    return Run("with_tryton.py", box, folder, TRYTON_URL=url or server.url, **password)


async def assert_in_step(staff: Staff, box: Sandbox) -> None:
    """Check the parties of Tryton against a box office whose customers all have an e-mail of their own."""
    parties = [party for party in (await staff.parties()).values() if party["active"]]
    assert sorted(key for party in parties for key in party["customers"]) == sorted(box.customers.ids())
    for party in parties:
        (customer,) = [people(box)[key] for key in party["customers"]]
        address = customer.address
        lines = [] if address is None else [address.line_1, address.line_2, address.line_3, address.line_4]
        street = "\n".join(" ".join(line.split()) for line in lines if line) or None
        name = " ".join(f"{customer.first_name or ''} {customer.last_name or ''}".split()) or None
        assert party["name"] == name
        assert party["addresses"] == [(name, street, None if address is None else address.postcode)]
        assert party["email"] == ([customer.email] if customer.email else [])
        assert party["phone"] == ([customer.telephone] if customer.telephone else [])
        agreed = {WAYS[way] for way in WAYS if customer.consent and getattr(customer.consent, way)}
        assert party["categories"] == agreed


async def test_a_first_run(staff: Staff, tryton_server: TrytonServer, tmp_path: Path) -> None:
    async with Sandbox(customers=40, rate_limit=None) as box:
        run = tryton_run(box, tryton_server, tmp_path)
        print(await run())
        await assert_in_step(staff, box)
        print(await run())
        await assert_in_step(staff, box)
