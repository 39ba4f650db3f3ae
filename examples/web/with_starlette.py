"""Starlette: one client for the life of the app. Run it with `uvicorn with_starlette:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from answers import answer_to
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ticketsource_async import TicketSource, TicketSourceError


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, TicketSource]]:
    async with TicketSource.from_env() as ts:
        yield {"ts": ts}


async def customer(request: Request) -> JSONResponse:
    found = await request.state.ts.customers.get(request.path_params["customer_id"])
    return JSONResponse(found.to_dict())


async def failed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TicketSourceError)  # noqa: S101 - the app hands over no other
    status, detail, headers = answer_to(error)
    return JSONResponse({"detail": detail}, status, headers)


app = Starlette(
    lifespan=lifespan,
    routes=[Route("/customers/{customer_id}", customer)],
    exception_handlers={TicketSourceError: failed},
)
