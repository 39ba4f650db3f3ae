"""A local TicketSource with memory, sample customers and faults on demand, for tests and for trying things out.

It knows nothing of the rest of the package: a shared model would make client and server agree on one mistake.
"""

from ticketsource_async.sandbox.faults import Fault, RecordedRequest
from ticketsource_async.sandbox.server import Sandbox

__all__ = ["Fault", "RecordedRequest", "Sandbox"]
