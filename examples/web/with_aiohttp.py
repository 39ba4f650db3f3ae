"""aiohttp.web: one client for the life of the app. Run it with `python -m aiohttp.web with_aiohttp:make_app`."""

from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.typedefs import Handler
from answers import answer_to

from ticketsource_async import TicketSource, TicketSourceError

TS = web.AppKey("TS", TicketSource)


async def opened(app: web.Application) -> AsyncIterator[None]:
    async with TicketSource.from_env() as app[TS]:
        yield


async def customer(request: web.Request) -> web.Response:
    found = await request.app[TS].customers.get(request.match_info["customer_id"])
    return web.json_response(found.to_dict())


@web.middleware
async def failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except TicketSourceError as error:
        status, detail, headers = answer_to(error)
        return web.json_response({"detail": detail}, status=status, headers=headers)


def make_app(arguments: list[str]) -> web.Application:
    app = web.Application(middlewares=[failures])
    app.cleanup_ctx.append(opened)
    app.router.add_get("/customers/{customer_id}", customer)
    return app
