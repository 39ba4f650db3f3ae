"""Which page follows in a list, and which links are not followed."""

import pytest
from yarl import URL

from ticketsource_async._wire import paging
from ticketsource_async._wire.paging import Following
from ticketsource_async._wire.request import Credentials, Request, Secret
from ticketsource_async._wire.response import Envelope

CREDENTIALS = Credentials.of(Secret("skl-not-a-real-key"), "https://api.ticketsource.io", "tests/1", "bearer")
HERE = "https://api.ticketsource.io/customers?page=2&per_page=100"
LIST = "https://api.ticketsource.io/customers"
OURS = {"page": "1", "per_page": "100"}


def following(link: object, here: str = HERE) -> Following:
    """Return what follows a full page."""
    sent = Request(CREDENTIALS, "GET", URL(here))
    return paging.following(Envelope([], {"next": link}, sent, 200), OURS, {paging.fingerprint(URL(here))}, 100)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (None, None),
        ("https://api.ticketsource.io/customers?page=3", f"{LIST}?page=3&per_page=100"),
        ("https://api.ticketsource.io/customers?per_page=50&page=3", f"{LIST}?per_page=50&page=3"),
        ("https://api.ticketsource.io/customers?cursor=a%2Fb", f"{LIST}?cursor=a/b&per_page=100"),
        ("?page=3", f"{LIST}?page=3&per_page=100"),
        ("/customers?page=3", f"{LIST}?page=3&per_page=100"),
        ("http://api.ticketsource.io:8080/?page=3#x", f"{LIST}?page=3&per_page=100"),
        ("//elsewhere.example/?page=3", f"{LIST}?page=3&per_page=100"),
        ("https://x:y@elsewhere.example/?page=3", f"{LIST}?page=3&per_page=100"),
        (f"?page={'9' * 5000}", f"{LIST}?page={'9' * 5000}&per_page=100"),
    ],
)
def test_the_query_of_the_next_link_is_added_to_the_url_of_the_list(link: str | None, expected: str | None) -> None:
    """Parameters of ours that it lacks are added, but never the page."""
    found = following(link)

    assert (None if found.url is None else str(found.url)) == expected
    assert (found.by_number, found.wrong) == (False, "")


@pytest.mark.parametrize(
    ("link", "wrong"),
    [
        (7, "neither an address nor null"),
        (0, "neither an address nor null"),
        (True, "neither an address nor null"),
        ([], "neither an address nor null"),
        ({}, "neither an address nor null"),
        ("http://[oops", "names no page"),
        ("https://" + "\u00e9." * 500_000, "names no page"),
        ("https://api.ticketsource.io/customers?page=2", "read before"),
        ("https://api.ticketsource.io/customers?per_page=100&page=2", "read before"),
        ("https://api.ticketsource.io/customers?page=1", "does not advance"),
        ("https://api.ticketsource.io/customers?page=0", "does not advance"),
        ("https://api.ticketsource.io/customers", "names no page"),
        ("?page=3&key=skl-not-a-real-key", "has the API key in it"),
        ("", ""),
        (False, ""),
    ],
)
def test_the_page_after_a_wrong_next_link_is_requested_by_its_number(link: object, wrong: str) -> None:
    """The result says what is wrong. An empty or false `next` counts as missing."""
    found = following(link)

    assert str(found.url) == f"{LIST}?page=3&per_page=100"
    assert found.by_number
    assert wrong in found.wrong
    assert bool(wrong) == bool(found.wrong)
    assert "skl-" not in found.link


def test_no_page_is_guessed_after_a_page_without_a_number() -> None:
    """A wrong `next` of a list with cursors gives no next page, and the result says why."""
    found = following("?cursor=a", f"{LIST}?cursor=a&per_page=100")

    assert found.url is None
    assert "read before" in found.wrong
