"""Where a list goes on, and which links are not followed."""

import pytest
from yarl import URL

from ticketsource_async import errors
from ticketsource_async._wire import paging
from ticketsource_async._wire.request import Credentials, Request, Secret
from ticketsource_async._wire.response import Envelope

CREDENTIALS = Credentials.of(Secret("skl-not-a-real-key"), "https://api.ticketsource.io", "tests/1", "bearer")
HERE = "https://api.ticketsource.io/customers?page=2&per_page=100"
OURS = {"page": "1", "per_page": "100"}


def following(link: object, here: str = HERE) -> URL | None:
    """Return where a page leads."""
    sent = Request(CREDENTIALS, "GET", URL(here))
    return paging.next_url(Envelope([], {"next": link}, sent, 200), OURS)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (None, None),
        ("https://api.ticketsource.io/customers?page=3", "https://api.ticketsource.io/customers?page=3&per_page=100"),
        (
            "https://api.ticketsource.io/customers?per_page=50&page=3",
            "https://api.ticketsource.io/customers?per_page=50&page=3",
        ),
        (
            "https://api.ticketsource.io/customers?cursor=a%2Fb",
            "https://api.ticketsource.io/customers?cursor=a/b&per_page=100",
        ),
        ("?page=3", "https://api.ticketsource.io/customers?page=3&per_page=100"),
        ("/customers?page=3", "https://api.ticketsource.io/customers?page=3&per_page=100"),
    ],
)
def test_a_next_link_gets_back_what_it_lacks_of_ours(link: str | None, expected: str | None) -> None:
    """Missing parameters are put back, but never the page; relative links are resolved."""
    url = following(link)

    assert (None if url is None else str(url)) == expected


@pytest.mark.parametrize("link", [7, True, [], {}, "http://[oops"])
def test_a_next_that_is_no_address_is_invalid_not_the_end(link: object) -> None:
    """A broken `next` must not end the list in silence."""
    with pytest.raises(errors.InvalidResponse, match="`next` is neither an address nor null") as caught:
        following(link)

    assert caught.value.json_path == "$.links.next"


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("https://api.ticketsource.io/customers?page=3", None),
        ("https://api.ticketsource.io:443/customers?page=3", None),
        ("https://API.ticketsource.io/customers?page=3", None),
        ("https://api.ticketsource.io/customers?cursor=abc", None),
        ("https://elsewhere.example/customers?page=3", "another origin"),
        ("http://api.ticketsource.io/customers?page=3", "another origin"),
        ("https://api.ticketsource.io:444/customers?page=3", "another origin"),
        ("https://x:y@api.ticketsource.io/customers?page=3", "another origin"),
        ("//elsewhere.example/customers?page=3", "another origin"),
        ("javascript:alert(1)", "another origin"),
        ("https://api.ticketsource.io/customers?page=2", "read before"),
        ("https://api.ticketsource.io/customers?per_page=100&page=2", "read before"),
        ("https://api.ticketsource.io/customers?page=1", "does not advance"),
        (f"https://api.ticketsource.io/customers?page={'9' * 5000}", None),
        ("https://api.ticketsource.io/customers?page=0", "does not advance"),
        ("https://api.ticketsource.io/customers", "names no page"),
        ("", "read before"),
    ],
)
def test_a_next_that_must_not_be_followed_is_told_with_its_reason(link: str, reason: str | None) -> None:
    """Another origin, a page read before, one that does not advance and none at all are refused."""
    url = following(link)
    assert url is not None

    told = paging.why_not_follow(url, URL(HERE), {paging.fingerprint(URL(HERE))}, OURS)

    assert told is None if reason is None else reason in (told or "")
