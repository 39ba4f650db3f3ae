"""How many rows a list has, found with few requests."""

import pytest
from hypothesis import given, strategies as st

from ticketsource_async.checking.search import Search


def search(rows: int, size: int, most: int) -> tuple[Search, int]:
    """Search a list of so many rows with so many requests after the first; return how many were made."""
    made = 0

    def note(page: int) -> None:
        here = max(0, min(size, rows - (page - 1) * size))
        found.note(page, here, goes_on=page * size < rows)

    found = Search(size)
    note(1)
    while (page := found.next_page()) is not None and made < most:
        note(page)
        made += 1
    return found, made


@given(st.integers(0, 3_000_000), st.integers(1, 100), st.integers(0, 40))
def test_the_number_of_rows_is_within_the_bounds(rows: int, size: int, most: int) -> None:
    """However many requests there are."""
    found, made = search(rows, size, most)

    assert found.least <= rows
    assert found.most is None or rows <= found.most
    assert made <= most


@given(st.integers(0, 3_000_000), st.integers(1, 100))
def test_the_number_of_rows_is_exact_with_two_requests_for_each_doubling(rows: int, size: int) -> None:
    """Half of them to pass the end, half of them to come back."""
    pages = -(-rows // size)
    found, made = search(rows, size, 100)

    assert found.is_exact
    assert found.least == found.most == rows
    assert made <= 2 * pages.bit_length()


@pytest.mark.parametrize(("rows", "requests"), [(0, 0), (100, 0), (230, 3), (1000, 6), (200_000, 17)])
def test_a_list_takes_few_requests(rows: int, requests: int) -> None:
    """Of a hundred rows a page."""
    assert search(rows, 100, 100)[1] == requests
