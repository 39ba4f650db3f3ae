"""Read a page in parts if one of its rows makes the API fail on the whole page; all other rows are read."""

from collections.abc import Awaitable, Callable
from typing import Final

from attrs import define, field
from yarl import URL

from ticketsource_async._wire.advice import without_advice
from ticketsource_async._wire.response import Envelope, id_in
from ticketsource_async.errors import InvalidResponse, NotFound, ServerError, TicketSourceError

_SIZES: Final = (50, 25, 5, 1)
_MOST_ROWS: Final = 5


def is_broken(error: TicketSourceError) -> bool:
    """Say whether a row of a page may be the cause of this error."""
    match error:
        case ServerError(status=status):
            return status == 500
        case InvalidResponse(status=status):
            return 200 <= status < 300
        case _:
            return False


@define
class PageInParts:
    """The page at `url`, which the API answered with `error`; `request` requests another address."""

    request: Callable[[URL], Awaitable[Envelope]]
    url: URL
    number: int
    size: int
    error: TicketSourceError
    rows: list[object] = field(factory=list)
    next: object = None
    """The `next` of the last part; True if that part could not be read."""
    has_ended: bool = False
    broken: int = 0
    is_size_checked: bool = False

    async def read(self) -> list[object]:
        """Return the rows of the page, with an `InvalidResponse` in the place of each row that cannot be read.

        Raises `error` if more than five rows cannot be read, or if a part does not have the rows that were requested.
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
                part = await self._request(start, smaller)
            except NotFound as error:  # the list ends before this part
                if not error.errors:
                    raise
                self.has_ended, self.next = True, None
            except TicketSourceError as error:
                if not is_broken(error):
                    raise
                await self._read(start, smaller)
            else:
                await self._add(part, start, smaller)
            if self.has_ended:
                return

    async def _request(self, start: int, size: int) -> Envelope:
        return await self.request(self.url.update_query(page=str(start // size + 1), per_page=str(size)))

    async def _add(self, part: Envelope, start: int, size: int) -> None:
        rows, self.next = part.rows(), part.links.get("next", "")
        if len(rows) > size or (len(rows) < size and self.next):
            raise self.error
        if rows and size > 1 and not self.is_size_checked:
            # A server that ignores `per_page` would give other rows.
            first = (await self._request(start, 1)).rows()
            if [id_in(row) or row for row in first] != [id_in(rows[0]) or rows[0]]:
                raise self.error
            self.is_size_checked = True
        self.rows.extend(rows)
        self.has_ended = len(rows) < size

    def _note_broken(self) -> None:
        self.broken += 1
        if self.broken > _MOST_ROWS:
            raise self.error
        place, self.next = len(self.rows), True
        self.rows.append(
            InvalidResponse(
                f"Row {place + 1} of page {self.number} of {self.url.path} cannot be read: the API fails on each "
                f"request for it. {without_advice(self.error)} Tell TicketSource support.",
                json_path=f"$.data[{place}]",
                status=getattr(self.error, "status", 0),
                method="GET",
                path=self.url.path,
                attempts=getattr(self.error, "attempts", 1),
                request_id=getattr(self.error, "request_id", None),
            )
        )
