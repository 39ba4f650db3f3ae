"""A mailing service for tests, with an API like those of real services."""

import asyncio
import hashlib
import random
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

KEY = "mailing-sample"


class MailingService:
    """One list with its members. It records each write that subscribes a person who may not be subscribed.

    With `faults`, it answers this fraction of all requests 429, 500 or 503, or carries out the request and cuts the
    connection.
    """

    def __init__(self, may: Callable[[str], bool], *, faults: float = 0, latency: float = 0, seed: int = 0) -> None:
        self.members: dict[str, dict[str, Any]] = {}
        self.written: list[tuple[str, str]] = []
        self.wrong: list[str] = []
        self.faults, self.latency = faults, latency
        self.refuses: set[str] = set()
        self._may, self._random = may, random.Random(seed)

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._disturb])
        app.router.add_get("/lists/7/members", self._list)
        app.router.add_get("/lists/7/members/{hash}", self._get)
        app.router.add_put("/lists/7/members/{hash}", self._put)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/lists/7"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def subscribed(self) -> set[str]:
        """The subscribed e-mails."""
        return {one["email_address"].lower() for one in self.members.values() if one["status"] == "subscribed"}

    def status(self, email: str) -> str | None:
        """Return the status of a member, None if there is none."""
        member = self.members.get(hash_of(email))
        return None if member is None else member["status"]

    def by_hand(self, email: str, status: str) -> None:
        """Subscribe or unsubscribe a person without this API, as by a form or a link."""
        member = self.members.setdefault(hash_of(email), {"email_address": email, "merge_fields": {}})
        member["status"] = status

    @web.middleware
    async def _disturb(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"title": "API Key Invalid"}, status=401)
        await asyncio.sleep(self.latency)
        if self._random.random() >= self.faults:
            done: web.StreamResponse = await handler(request)
            return done
        fault = self._random.choice((429, 500, 503, None))
        if fault is None:
            await handler(request)
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"title": "Later"}, status=fault or 500, headers={"Retry-After": "0"})

    async def _list(self, request: web.Request) -> web.Response:
        offset, count = int(request.query["offset"]), int(request.query["count"])
        return web.json_response({"members": list(self.members.values())[offset : offset + count]})

    async def _get(self, request: web.Request) -> web.Response:
        member = self.members.get(request.match_info["hash"])
        return web.json_response({"title": "Not Found"} if member is None else member, status=200 if member else 404)

    async def _put(self, request: web.Request) -> web.Response:
        values, key = await request.json(), request.match_info["hash"]
        email = values["email_address"]
        if key != hash_of(email) or " " in email or email in self.refuses:
            return web.json_response({"title": "Invalid Resource"}, status=400)
        member = self.members.get(key)
        before = None if member is None else member["status"]
        status = values.get("status") or before or values["status_if_new"]
        fields = {**(member["merge_fields"] if member else {}), **values.get("merge_fields", {})}
        self.members[key] = {"email_address": email, "status": status, "merge_fields": fields}
        self.written.append((email, status))
        if status == "subscribed" and before != status and not self._may(email):
            self.wrong.append(email)
        return web.json_response(self.members[key])


def hash_of(email: str) -> str:
    """Return the service's id of a member."""
    return hashlib.md5(email.lower().encode(), usedforsecurity=False).hexdigest()
