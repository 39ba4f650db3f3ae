"""Find out how many rows a list has, by a search for its last page with few requests. The class makes no calls."""

from attrs import define


@define
class Search:
    """A search for the last page of a list. It doubles the page number until a page is empty, then halves the range.

    `size` is the number of rows of a full page.
    """

    size: int
    last: int = 0
    rows: int = 0
    """The highest page that is known to have rows, and the number of its rows."""
    beyond: int | None = None
    """The lowest page that is known to have no rows."""
    at_end: bool = False

    def note(self, page: int, rows: int, *, goes_on: bool) -> None:
        """Note the number of rows of a page, and whether the API says that there are more."""
        if not rows:
            self.beyond = page if self.beyond is None else min(page, self.beyond)
        elif page > self.last:
            self.last, self.rows, self.at_end = page, rows, not goes_on

    def next_page(self) -> int | None:
        """Return the next page to request; None if the last page is known, or if nothing is known."""
        if self.is_exact or not self.last:
            return None
        return self.last * 2 if self.beyond is None else (self.last + self.beyond) // 2

    @property
    def is_exact(self) -> bool:
        """Whether the last page is known."""
        return self.at_end or self.beyond == self.last + 1

    @property
    def least(self) -> int:
        """The least number of rows that there can be."""
        return max(0, self.last - 1) * self.size + self.rows

    @property
    def most(self) -> int | None:
        """The greatest number of rows that there can be; None if it is not known."""
        if self.is_exact:
            return self.least
        return None if self.beyond is None else (self.beyond - 1) * self.size
