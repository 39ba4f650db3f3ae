"""How many rows a list has, by looking for its last page with few requests; pure."""

from attrs import define


@define
class Search:
    """Where the last page of a list may be: doubling the page number until a page is empty, then halving.

    `size` are the rows of a full page.
    """

    size: int
    last: int = 0
    rows: int = 0
    """The highest page that is known to have rows, and how many those are."""
    beyond: int | None = None
    """The lowest page that is known to have none."""
    at_end: bool = False

    def note(self, page: int, rows: int, *, goes_on: bool) -> None:
        """Take down that a page has so many rows, and whether the API says that there are more."""
        if not rows:
            self.beyond = page if self.beyond is None else min(page, self.beyond)
        elif page > self.last:
            self.last, self.rows, self.at_end = page, rows, not goes_on

    def next_page(self) -> int | None:
        """Return the page to ask for; None if the last one is known, or nothing is."""
        if self.is_exact or not self.last:
            return None
        return self.last * 2 if self.beyond is None else (self.last + self.beyond) // 2

    @property
    def is_exact(self) -> bool:
        """Say whether the last page is known."""
        return self.at_end or self.beyond == self.last + 1

    @property
    def least(self) -> int:
        """Return how many rows there are at least."""
        return max(0, self.last - 1) * self.size + self.rows

    @property
    def most(self) -> int | None:
        """Return how many rows there are at most, None if nobody knows."""
        if self.is_exact:
            return self.least
        return None if self.beyond is None else (self.beyond - 1) * self.size
