"""Quart: one client for the life of the app. Run it with `hypercorn with_quart:app`, or `uvicorn`."""

from collections.abc import AsyncGenerator

from answers import answer_to
from quart import Quart

from ticketsource_async import TicketSource, TicketSourceError

app = Quart(__name__)


@app.while_serving
async def opened() -> AsyncGenerator[None, None]:
    async with TicketSource.from_env() as app.extensions["ticketsource"]:
        yield


@app.errorhandler(TicketSourceError)
async def failed(error: TicketSourceError) -> tuple[dict[str, object], int, dict[str, str]]:
    status, detail, headers = answer_to(error)
    return {"detail": detail}, status, headers


@app.get("/customers/<customer_id>")
async def customer(customer_id: str) -> dict[str, object]:
    ts: TicketSource = app.extensions["ticketsource"]
    return (await ts.customers.get(customer_id)).to_dict()
