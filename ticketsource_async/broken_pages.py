"""A page that the API cannot answer, because of a row in it, is read in parts: all other rows come."""

from collections.abc import Awaitable, Callable
from typing import Final

from attrs import define, field
from yarl import URL

from ticketsource_async._wire.response import Envelope, id_in
from ticketsource_async.errors import InvalidResponse, NotFound, ServerError, TicketSourceError

_SIZES: Final = (50, 25, 5, 1)
_MOST_ROWS: Final = 5


def is_broken(error: TicketSourceError) -> bool:
    """Say whether a page failed in a way that a row in it may be the cause of."""
    match error:
        case ServerError(status=status):
            return status == 500
        case InvalidResponse(status=status):
            return 200 <= status < 300
        case _:
            return False


@define
class PageInParts:
    """The page at an address, for which the API answered `error`; `ask` asks for another address."""

    ask: Callable[[URL], Awaitable[Envelope]]
    url: URL
    number: int
    size: int
    error: TicketSourceError
    rows: list[object] = field(factory=list)
    next: object = None
    """The `next` of the part that was read last; True if it could not be read."""
    ended: bool = False
    broken: int = 0
    checked: bool = False

    async def read(self) -> list[object]:
        """Return the rows of the page; the place of one that cannot be read has the `InvalidResponse` that says so.

        Raises `error` if more than five rows cannot be read, or if a part has not the rows that were asked for.
        """
        await self._read((self.number - 1) * self.size, self.size)
        return self.rows

    async def _read(self, offset: int, size: int) -> None:
        smaller = next((s for s in _SIZES if s < size and size % s == 0), None)
        if smaller is None:
            self._note_broken()
            return
        for start in range(offset, offset + size, smaller):
            try:
                part = await self._ask(start, smaller)
            except NotFound as error:  # the list ends before this part
                if not error.errors:
                    raise
                self.ended, self.next = True, None
            except TicketSourceError as error:
                if not is_broken(error):
                    raise
                await self._read(start, smaller)
            else:
                await self._add(part, start, smaller)
            if self.ended:
                return

    async def _ask(self, start: int, size: int) -> Envelope:
        return await self.ask(self.url.update_query(page=str(start // size + 1), per_page=str(size)))

    async def _add(self, part: Envelope, start: int, size: int) -> None:
        rows, self.next = part.rows(), part.links.get("next", "")
        if len(rows) > size or (len(rows) < size and self.next):
            raise self.error
        if rows and size > 1 and not self.checked:
            # A server that does not mind `per_page` would give the rows of another place.
            first = (await self._ask(start, 1)).rows()
            if [id_in(row) or row for row in first] != [id_in(rows[0]) or rows[0]]:
                raise self.error
            self.checked = True
        self.rows.extend(rows)
        self.ended = len(rows) < size

    def _note_broken(self) -> None:
        self.broken += 1
        if self.broken > _MOST_ROWS:
            raise self.error
        place, self.next = len(self.rows), True
        self.rows.append(
            InvalidResponse(
                f"Row {place + 1} of page {self.number} of {self.url.path} cannot be read: the API fails on each "
                f"request for it. Tell TicketSource support. ({self.error})",
                json_path=f"$.data[{place}]",
                status=getattr(self.error, "status", 0),
                method="GET",
                path=self.url.path,
                attempts=getattr(self.error, "attempts", 1),
                request_id=getattr(self.error, "request_id", None),
            )
        )
