"""Starlette: one client for the life of the app. Run it with `uvicorn with_starlette:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ticketsource_async import InvalidID, NotFound, TicketSource


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, TicketSource]]:
    async with TicketSource.from_env() as ts:
        yield {"ts": ts}


async def customer(request: Request) -> JSONResponse:
    found = await request.state.ts.customers.get(request.path_params["customer_id"])
    return JSONResponse(found.to_dict())


async def missing(request: Request, error: Exception) -> JSONResponse:
    known = not isinstance(error, NotFound) or error.is_from_api  # otherwise the 404 may be of a gateway
    return JSONResponse({"detail": "There is no such record."}, 404 if known else 502)


app = Starlette(
    lifespan=lifespan,
    routes=[Route("/customers/{customer_id}", customer)],
    exception_handlers={InvalidID: missing, NotFound: missing},
)
