"""A local TicketSource with memory, sample customers and faults on demand, for tests and for trying things out.

It knows nothing of the rest of the package: a shared model would make client and server agree on one mistake.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ticketsource_async.sandbox.faults import Fault, RecordedRequest
    from ticketsource_async.sandbox.server import Sandbox

__all__ = ["Fault", "RecordedRequest", "Sandbox"]


def __getattr__(name: str) -> object:
    if name in __all__:  # late, so that the pytest plugin beside this costs other test suites no web server
        from ticketsource_async.sandbox import server  # noqa: PLC0415

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
