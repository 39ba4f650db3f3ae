"""Quart: one client for the life of the app. Run it with `hypercorn with_quart:app`, or `uvicorn`."""

from collections.abc import AsyncGenerator

from quart import Quart

from ticketsource_async import InvalidID, NotFound, TicketSource

app = Quart(__name__)


@app.while_serving
async def opened() -> AsyncGenerator[None, None]:
    async with TicketSource.from_env() as app.extensions["ticketsource"]:
        yield


@app.errorhandler(InvalidID)
@app.errorhandler(NotFound)
async def missing(error: InvalidID | NotFound) -> tuple[dict[str, object], int]:
    known = isinstance(error, InvalidID) or error.is_from_api  # otherwise the 404 may be of a gateway
    return {"detail": "There is no such record."}, 404 if known else 502


@app.get("/customers/<customer_id>")
async def customer(customer_id: str) -> dict[str, object]:
    ts: TicketSource = app.extensions["ticketsource"]
    return (await ts.customers.get(customer_id)).to_dict()
