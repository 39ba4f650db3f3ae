"""How a list goes on: its next page, and whether to follow a link there; pure."""

import re
from collections.abc import Collection, Mapping
from typing import cast

from yarl import URL

from ticketsource_async._wire.response import Envelope


def next_url(envelope: Envelope, ours: Mapping[str, str]) -> URL | None:
    """Return where `links.next` points, with the query parameters of ours that it lacks; None at the end.

    Laravel leaves the parameters of the request out of its links by default. Page 2 would then have ten rows, and
    overlap page 1. `page` is the cursor and is never put back.
    """
    link = envelope.links.get("next")
    if link is None:
        return None
    try:
        url = envelope.request.url.join(URL(cast(str, link)))
        return url.update_query({k: v for k, v in ours.items() if k != "page" and k not in url.query})
    except (ValueError, TypeError):
        raise envelope.invalid("`next` is neither an address nor null", "$.links.next") from None


def why_not_follow(url: URL, current: URL, seen: Collection[str], ours: Mapping[str, str]) -> str | None:
    """Return why this next page must not be asked for, or None if it may."""
    if (url.scheme, url.host, url.port) != (current.scheme, current.host, current.port) or url.user or url.password:
        return "it leads to another origin, which must not get the API key"
    if fingerprint(url) in seen:
        return "that page was read before, so the list would never end"
    page, here = url.query.get("page"), current.query.get("page")
    if page is None and url.path == current.path and url.query.keys() <= ours.keys():
        return "it names no page, so the list would start anew"
    if (number := page_number(page)) is not None and (before := page_number(here)) is not None and number <= before:
        return "it does not advance"
    return None


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
