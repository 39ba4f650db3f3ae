"""How a list goes on: its next page, and whether to follow a link there; pure."""

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
    """Where a list goes on after a page; `url` is None where it ends.

    `by_number` says that the page was not named by `next`, but comes after the other: without a new row there, the list
    has ended. `wrong` is what is wrong with `next`, if anything, and `link` is that `next`, fit for a message.
    """

    url: URL | None
    by_number: bool = False
    wrong: str = ""
    link: str = ""


def following(envelope: Envelope, ours: Mapping[str, str], seen: Collection[str], rows: int) -> Following:
    """Return where a list goes on after a page of so many rows; `seen` has the fingerprints of the pages read so far.

    Of `next` only the query counts, put to the address of the list: behind a proxy, scheme, host, port and path of a
    link can be wrong, and the key must not go elsewhere. Query parameters of ours that it lacks are put back, since
    Laravel leaves those of the request out of its links by default; page 2 would then have ten rows, and overlap page
    1. `page` is the cursor and is never put back.
    """
    here = envelope.request.url
    link = envelope.links.get("next", "")
    if link is None:
        return Following(None)
    after = page_offset(here, 1, ours)
    if link == "" or link is False:
        return Following(after if rows >= _full_page(envelope, ours) else None, by_number=True)
    if not isinstance(link, str):
        wrong = "it is neither an address nor null"
    else:
        # The rest is not even read: a host of a million characters would take seconds.
        url = here.with_query(URL(f"?{link.partition('?')[2]}").query)
        url = url.update_query({k: v for k, v in ours.items() if k != "page" and k not in url.query})
        leaks = envelope.request.key_is_in(url)
        wrong = "it has the API key in it" if leaks else _why_not_follow(url, here, seen, ours)
        if not wrong:
            return Following(url)
    return Following(
        after, by_number=True, wrong=wrong, link=envelope.request.scrub(without_values(str(link)[:_MOST_READ], ours))
    )


def _full_page(envelope: Envelope, ours: Mapping[str, str]) -> int:
    """Return the number of rows of a full page, which the API may have set lower than it was asked to."""
    said = page_number(str(envelope.meta.get("per_page")))
    asked = int(ours["per_page"])
    return min(said, asked) if said else asked


def _why_not_follow(url: URL, here: URL, seen: Collection[str], ours: Mapping[str, str]) -> str:
    """Return why this next page must not be asked for; an empty text if it may be."""
    if fingerprint(url) in seen:
        return "that page was read before, so the list would never end"
    page, current = url.query.get("page"), here.query.get("page")
    if page is None and url.query.keys() <= ours.keys():
        return "it names no page, so the list would start anew"
    if (number := page_number(page)) is not None and (before := page_number(current)) is not None and number <= before:
        return "it does not advance"
    return ""


def page_offset(url: URL, pages: int, ours: Collection[str]) -> URL | None:
    """Return the URL `pages` away, or None if it cannot be predicted, or would be before the first.

    It cannot be predicted if the URL names no page, or has parameters besides ours, which may be a cursor.
    """
    number = page_number(url.query.get("page"))
    if number is None or number + pages < 1 or not url.query.keys() <= set(ours):
        return None
    return url.update_query(page=str(number + pages))


def page_number(text: str | None) -> int | None:
    """Return the number in a `page` parameter, None if there is none."""
    return int(text) if text is not None and re.fullmatch("[0-9]{1,18}", text) else None


def fingerprint(url: URL) -> str:
    """Return a text that is equal for addresses of the same page."""
    return f"{url.path}?{sorted(url.query.items())}"
