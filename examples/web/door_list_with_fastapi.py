"""A door list as a page, for the tablets at the doors: run `uvicorn door_list_with_fastapi:app`, behind your own login.

`/dates/{date_id}/door-list` is the page of `ticketsource door-list`, `?fast=true` leaves seats out. A list takes two
requests for each booking. So only one list is read at a time, and all requests within a minute get the same page. The
page says when it was read, and what is missing. An error that ends the list becomes an HTTP status.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from answers import answer_to
from attrs import Factory, define, field
from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse

from ticketsource_async import TicketSource, TicketSourceError, files
from ticketsource_async.report_tables import door_list_table

A_MINUTE = 60.0
PRIVATE = {"Cache-Control": "no-store"}  # so no copy of people's names is kept on a tablet


@define
class DoorLists:
    """The pages of the last minute."""

    ts: TicketSource
    pages: dict[tuple[str, bool], tuple[float, str]] = field(factory=dict)
    one_at_a_time: asyncio.Lock = Factory(asyncio.Lock)

    async def page(self, date_id: str, *, fast: bool) -> str:
        async with self.one_at_a_time:
            now = time.monotonic()
            self.pages = {key: kept for key, kept in self.pages.items() if now - kept[0] < A_MINUTE}
            if (date_id, fast) not in self.pages:
                found = await self.ts.reports.door_list(date_id, seats=not fast)
                page = files.as_text(found.entries, door_list_table(found), "html")
                self.pages[date_id, fast] = time.monotonic(), page
            return self.pages[date_id, fast][1]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, DoorLists]]:
    async with TicketSource.from_env() as ts:
        yield {"door_lists": DoorLists(ts)}


def opened(request: Request) -> DoorLists:
    return request.state.door_lists  # type: ignore[no-any-return]  # FastAPI's state is untyped


app = FastAPI(lifespan=lifespan)


@app.exception_handler(TicketSourceError)
async def failed(request: Request, error: TicketSourceError) -> JSONResponse:
    status, detail, headers = answer_to(error)
    return JSONResponse({"detail": detail}, status, headers)


@app.get("/dates/{date_id}/door-list")
async def door_list(
    date_id: str, door_lists: Annotated[DoorLists, Depends(opened)], *, fast: bool = False
) -> HTMLResponse:
    return HTMLResponse(await door_lists.page(date_id, fast=fast), headers=PRIVATE)
