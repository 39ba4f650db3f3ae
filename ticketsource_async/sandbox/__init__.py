"""A local TicketSource for tests and trials: it stores what you write, and has sample data and faults on demand.

It imports nothing of the rest of the package: with shared models, client and server could have the same mistake.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ticketsource_async.sandbox.faults import Fault, RecordedRequest
    from ticketsource_async.sandbox.server import Sandbox

__all__ = ["Fault", "RecordedRequest", "Sandbox"]


def __getattr__(name: str) -> object:
    if name in __all__:  # late, so that the pytest plugin beside this does not import a web server in other test suites
        from ticketsource_async.sandbox import server  # noqa: PLC0415

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
