"""Find the next page of a list, and decide whether to follow a link to it; pure."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from attrs import frozen
from yarl import URL

from ticketsource_async._wire.request import without_values
from ticketsource_async._wire.response import Envelope

_MOST_READ: Final = 20_000  # of a link, in a message


@frozen
class Following:
    """The page that follows another page in a list; `url` is None at the end of the list.

    `by_number`: `next` did not name this page, it is the next one by number. If it has no new row, the list has ended.
    `wrong`: what is wrong with `next`, or an empty text. `link`: the text of the wrong `next`, fit for a message.
    """

    url: URL | None
    by_number: bool = False
    wrong: str = ""
    link: str = ""


def following(envelope: Envelope, our_query: Mapping[str, str], seen: Collection[str], rows: int) -> Following:
    """Return the page that follows a page of `rows` rows.

    `seen` has the fingerprints of the pages read so far. Only the query of `next` is used, with the address of the
    list: behind a proxy the scheme, host, port and path of a link can be wrong, and the key must not go to another
    host. Our query parameters that `next` lacks are added again, because Laravel by default leaves the parameters of
    the request out of its links. Page 2 would then have ten rows and overlap page 1. `page` is never added again,
    because it is the cursor.
    """
    here = envelope.request.url
    link = envelope.links.get("next", "")
    if link is None:
        return Following(None)
    after = page_offset(here, 1, our_query)
    if link == "" or link is False:
        return Following(after if rows >= _full_page(envelope, our_query) else None, by_number=True)
    if not isinstance(link, str):
        wrong = "it is neither an address nor null"
    else:
        # Only the query is parsed: to parse a host of a million characters takes seconds.
        url = here.with_query(URL(f"?{link.partition('?')[2]}").query)
        url = url.update_query({k: v for k, v in our_query.items() if k != "page" and k not in url.query})
        leaks = envelope.request.key_is_in(url)
        wrong = "it contains the API key" if leaks else _why_not_followed(url, here, seen, our_query)
        if not wrong:
            return Following(url)
    return Following(
        after,
        by_number=True,
        wrong=wrong,
        link=envelope.request.scrub(without_values(str(link)[:_MOST_READ], our_query)),
    )


def _full_page(envelope: Envelope, our_query: Mapping[str, str]) -> int:
    """Return the number of rows of a full page; the API may give fewer rows than `per_page` asks for."""
    said = page_number(str(envelope.meta.get("per_page")))
    asked = int(our_query["per_page"])
    return min(said, asked) if said else asked


def _why_not_followed(url: URL, here: URL, seen: Collection[str], our_query: Mapping[str, str]) -> str:
    """Return why this next page must not be requested; an empty text if it may be."""
    if fingerprint(url) in seen:
        return "that page was read before, so the list would never end"
    page, current = url.query.get("page"), here.query.get("page")
    if page is None and url.query.keys() <= our_query.keys():
        return "it names no page, so the list would start again"
    if (number := page_number(page)) is not None and (before := page_number(current)) is not None and number <= before:
        return "it does not lead to a later page"
    return ""


def page_offset(url: URL, pages: int, our_query: Collection[str]) -> URL | None:
    """Return the URL `pages` away, or None if it cannot be predicted or would be before page 1.

    It cannot be predicted if the URL names no page, or has a parameter that is not ours. That one may be a cursor.
    """
    number = page_number(url.query.get("page"))
    if number is None or number + pages < 1 or not url.query.keys() <= set(our_query):
        return None
    return url.update_query(page=str(number + pages))


def page_number(text: str | None) -> int | None:
    """Return the number in a `page` parameter; None if it is not a number."""
    return int(text) if text is not None and re.fullmatch("[0-9]{1,18}", text) else None


def fingerprint(url: URL) -> str:
    """Return a text that is equal for two addresses of the same page."""
    return f"{url.path}?{sorted(url.query.items())}"
