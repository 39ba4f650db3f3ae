"""The operations on the notes about a customer.

The vendor's page: https://www.ticketsource.io/working-with-customers
"""

from typing import Unpack

from ticketsource_async._mistakes import explains_fields_of
from ticketsource_async._wire import drafts
from ticketsource_async.models import Customer, Note, NoteDraft
from ticketsource_async.models.ids import checked_id
from ticketsource_async.pagination import Pager
from ticketsource_async.resources.base import ListOptions, Resource


class Notes(Resource):
    """The notes of staff on a customer. A note can be added and deleted, but not changed."""

    def list(self, customer: str | Customer, /, **options: Unpack[ListOptions]) -> Pager[Note]:
        """Return the notes on a customer.

        GET /customers/{id}/notes. Raises `NotFound` and `InvalidID`.
        """
        return self._list(Note, options, "customers", checked_id(customer, Customer), "notes")

    async def get(self, customer: str | Customer, note: str | Note, /) -> Note:
        """Return one note.

        GET /customers/{id}/notes/{note_id}. Raises `NotFound` and `InvalidID`.
        """
        ids = checked_id(customer, Customer), "notes", checked_id(note, Note)
        return await self._sender.call(self._priority, "GET", Note, "customers", *ids)

    @explains_fields_of(NoteDraft)
    async def create(self, customer: str | Customer, /, draft: NoteDraft) -> Note:
        """Add a note to a customer and return it.

        The request is never sent twice. If the answer is lost, it raises `OutcomeUnknown`. Raises `NotFound`,
        `InvalidID` and `ValidationFailed`.

        POST /customers/{id}/notes
        """
        segments = "customers", checked_id(customer, Customer), "notes"
        body = drafts.body(draft, NoteDraft)
        return await self._sender.call(self._priority, "POST", Note, *segments, body=body)

    async def delete(self, customer: str | Customer, note: str | Note, /) -> None:
        """Delete a note for good.

        It is retried as a read is. A 404 after an attempt whose answer was lost means that the note is deleted. Raises
        `NotFound`, `InvalidID` and `OutcomeUnknown`.

        DELETE /customers/{id}/notes/{note_id}
        """
        ids = checked_id(customer, Customer), "notes", checked_id(note, Note)
        await self._sender.delete(self._priority, "customers", *ids)
