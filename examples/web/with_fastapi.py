"""FastAPI: one client for the life of the app. Run it with `uvicorn with_fastapi:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from ticketsource_async import InvalidID, NotFound, TicketSource


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, TicketSource]]:
    async with TicketSource.from_env() as ts:
        yield {"ts": ts}


def opened(request: Request) -> TicketSource:
    return request.state.ts  # type: ignore[no-any-return]  # FastAPI's state is untyped


app = FastAPI(lifespan=lifespan)


@app.exception_handler(InvalidID)
@app.exception_handler(NotFound)
async def missing(request: Request, error: InvalidID | NotFound) -> JSONResponse:
    known = isinstance(error, InvalidID) or error.is_from_api  # otherwise the 404 may be of a gateway
    return JSONResponse({"detail": "There is no such record."}, 404 if known else 502)


@app.get("/customers/{customer_id}")
async def customer(customer_id: str, ts: Annotated[TicketSource, Depends(opened)]) -> dict[str, object]:
    return (await ts.customers.get(customer_id)).to_dict()
