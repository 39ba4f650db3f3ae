"""FastAPI: one client for the life of the app. Run it with `uvicorn with_fastapi:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from answers import answer_to
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from ticketsource_async import CustomerDraft, RetryPolicy, TicketSource, TicketSourceError


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, TicketSource]]:
    async with TicketSource.from_env(retry=RetryPolicy(deadline=5)) as ts:
        yield {"ts": ts}


def opened(request: Request) -> TicketSource:
    return request.state.ts  # type: ignore[no-any-return]  # FastAPI's state is untyped


TS = Annotated[TicketSource, Depends(opened)]
app = FastAPI(lifespan=lifespan)


@app.exception_handler(TicketSourceError)
async def failed(request: Request, error: TicketSourceError) -> JSONResponse:
    status, detail, headers = answer_to(error)
    return JSONResponse({"detail": detail}, status, headers)


@app.get("/customers/{customer_id}")
async def customer(customer_id: str, ts: TS) -> dict[str, object]:
    return (await ts.customers.get(customer_id)).to_dict()


class NewCustomer(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True)
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None


@app.post("/customers", status_code=201)
async def create(new: NewCustomer, ts: TS) -> dict[str, object]:
    filled_in = {name: value for name, value in new if value}  # a form sends "" for an empty box
    if not filled_in:
        raise HTTPException(422, "Fill in a name or an e-mail.")
    return (await ts.customers.create(CustomerDraft(**filled_in))).to_dict()
