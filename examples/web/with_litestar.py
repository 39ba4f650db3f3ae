"""Litestar: one client for the life of the app. Run it with `uvicorn with_litestar:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from answers import answer_to
from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.di import Provide

from ticketsource_async import TicketSource, TicketSourceError


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    async with TicketSource.from_env() as app.state.ts:
        yield


def opened(state: State) -> TicketSource:
    return state.ts  # type: ignore[no-any-return]  # Litestar's state is untyped


@get("/customers/{customer_id:str}")
async def customer(customer_id: str, ts: TicketSource) -> dict[str, object]:
    return (await ts.customers.get(customer_id)).to_dict()


def failed(request: Request[Any, Any, Any], error: TicketSourceError) -> Response[dict[str, object]]:
    status, detail, headers = answer_to(error)
    return Response({"detail": detail}, status_code=status, headers=headers)


app = Litestar(
    [customer],
    lifespan=[lifespan],
    dependencies={"ts": Provide(opened, sync_to_thread=False)},
    exception_handlers={TicketSourceError: failed},
)
