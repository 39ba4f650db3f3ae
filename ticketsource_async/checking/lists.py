"""Findings about lists, the times of dates, and the size of the box office. The functions make no calls."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urljoin, urlsplit

from ticketsource_async import errors
from ticketsource_async._words import counted
from ticketsource_async.checking.calls import PER_PAGE, UTC_OFFSETS, Call, Results
from ticketsource_async.checking.findings import REQUESTS_A_MINUTE, Finding, State, failure, listed, why_not_known
from ticketsource_async.checking.shapes import NOT_SHOWN, Shape, is_in_summer, offset_in

_LINKS: Final = frozenset({"first", "last", "prev", "next"})
_META: Final = frozenset({"current_page", "from", "to", "path", "per_page"})
# Names that other APIs use. Any other name may be data, such as the name of a person.
_OFTEN_USED_NAMES: Final = frozenset(
    {"total", "last_page", "links", "count", "self", "cursor", "next_cursor", "prev_cursor"}
)
_PARAMETERS: Final = frozenset({"page", "per_page", "page[number]", "page[size]", "cursor", "limit", "offset"})
_NO_CUSTOMER: Final = "no customer was read"
_ONE_PAGE: Final = "Not known: all customers are on one page."


def of_lists(found: Results, base_url: str, customers: Shape) -> list[Finding]:
    """Return the findings about lists, from the list of customers."""
    return [
        _named("rows a page", _full_page(found)),
        _named("`per_page` in `next`", _next_query(found)),
        _named("address in `next`", _next_address(found, base_url)),
        _named("page numbers", _pages(found)),
        _named("order", _order(found)),
        _named("`links` and `meta`", _links_and_meta(found)),
        _named("one record", _by_id(found, customers)),
        _named("unknown id", _unknown_id(found)),
        _named("dates by day", _filter(found)),
    ]


def _named(name: str, said: tuple[State, str], group: str = "lists") -> Finding:
    return Finding(group, name, *said)


def _full_page(found: Results) -> tuple[State, str]:
    first = found.first
    if first is None or first.answer is None or not first.rows:
        return "open", why_not_known(found, _NO_CUSTOMER)
    count = len(first.rows)
    if count > PER_PAGE:
        return "odd", f"The API ignores `per_page`: more than the requested {PER_PAGE} rows came."
    if first.goes_on and count < PER_PAGE:
        more = f"an export makes {PER_PAGE / count:.0f} times as many requests"
        return "odd", f"{count} rows came, although {PER_PAGE} were requested: {more}."
    if count == PER_PAGE or str(first.answer.meta.get("per_page")) == str(PER_PAGE):
        return "ok", f"The API sends {PER_PAGE} rows a page, as requested."
    return "open", f"Not known: there are fewer than {PER_PAGE} customers."


def _with_next(found: Results) -> Call | None:
    """Return a page of customers that has a `next`."""
    pages = [call for call in found.calls if call.path == "/customers" and call.answer is not None]
    return next((call for call in pages if call.answer and call.answer.links.get("next")), None)


def _next_query(found: Results) -> tuple[State, str]:
    page = _with_next(found)
    if page is None:
        return _no_next(found)
    assert page.answer is not None  # noqa: S101 - it has a `next`
    link = page.answer.links["next"]
    if not isinstance(link, str):
        return "odd", "`next` is neither an address nor null. The library requests the next page by its number."
    query = parse_qs(link.partition("?")[2])
    odd = []
    if "page" not in query:
        odd.append(f"`next` has no `page`, but {listed(_without_data(query, _PARAMETERS)) or 'nothing'}.")
    elif query["page"] != [str(int(page.query["page"]) + 1)]:
        odd.append("`next` does not lead to the page after this one.")
    if "per_page" not in query:
        odd.append("`next` lacks `per_page`. The library adds it.")
    elif query["per_page"] != [page.query["per_page"]]:
        odd.append("`next` has another `per_page` than the request.")
    return ("odd", " ".join(odd)) if odd else ("ok", "`next` has the `per_page` of the request.")


def _no_next(found: Results) -> tuple[State, str]:
    if found.first is None or not found.first.rows:
        return "open", why_not_known(found, _NO_CUSTOMER)
    if found.first.goes_on:
        return "odd", "A full page has no `next`. The library requests the next page by its number."
    return "open", _ONE_PAGE


def _next_address(found: Results, base_url: str) -> tuple[State, str]:
    page = _with_next(found)
    if page is None:
        return _no_next(found)
    assert page.answer is not None  # noqa: S101 - it has a `next`
    ours = f"{base_url.rstrip('/')}{page.path}"
    try:
        own, link = urlsplit(ours), urlsplit(str(page.answer.links["next"]))
        theirs = urlsplit(urljoin(ours, link.geturl()))
        pairs = {
            "scheme": (own.scheme, theirs.scheme),
            "host": (own.hostname, theirs.hostname),
            "port": (own.port, theirs.port),
            "path": (own.path, theirs.path),
        }
    except ValueError:
        return "odd", "`next` is no address. The library uses only the part after its `?`."
    if differ := [part for part, (one, other) in pairs.items() if one != other]:
        what = " and ".join(differ)
        return "odd", f"`next` has another {what} than the request. The library uses only the part after its `?`."
    return (
        ("ok", "`next` is an address of the list.")
        if link.scheme
        else ("odd", "`next` is a relative address. The library can use it.")
    )


def _pages(found: Results) -> tuple[State, str]:
    first, second = found.first, found.second
    if first is None or not first.rows:
        return "open", why_not_known(found, _NO_CUSTOMER)
    if second is None or not second.rows:
        goes_on = first.goes_on or second is not None
        return "open", why_not_known(found, "page 2 did not come, or is empty") if goes_on else _ONE_PAGE
    one, two = _row_ids(first), _row_ids(second)
    if not first.goes_on:
        is_second = two == one[1:2]
        says = f"With one row a page, page 2 has {'' if is_second else 'not '}the second row of the list."
        return "ok" if is_second else "odd", says
    if set(two) <= set(one):
        return "failed", "Page 2 has the customers of page 1 again: the library cannot read the customers after them."
    if both := set(one) & set(two):
        return "odd", f"{len(both)} customers are on page 1 and on page 2. The library drops repeated rows."
    return "ok", "Page 2 begins where page 1 ends."


def _row_ids(call: Call) -> list[str]:
    return [str(row.get("id")) for row in call.rows or () if isinstance(row, dict)]


def _order(found: Results) -> tuple[State, str]:
    if found.first is None or found.first_again is None or not found.first.rows or not found.first_again.rows:
        return "open", why_not_known(found, _NO_CUSTOMER)
    one, other = _row_ids(found.first), _row_ids(found.first_again)
    if len(one) < 2:
        return "open", "Not known: there is one customer."
    both = set(one) & set(other)
    stayed = [record_id for record_id in other if record_id in both]
    if stayed != [record_id for record_id in one if record_id in both]:
        return (
            "odd",
            "Two reads of a page had another order, so a list can miss rows. In a program use `verify=True`.",
        )
    if len(stayed) < len(one) / 2:
        return "odd", "Two reads of a page had other customers, so a list can miss rows."
    changed = "" if one == other else " Some customers were added or removed in between."
    return "ok", f"Two reads of a page had the same rows.{changed}"


def _links_and_meta(found: Results) -> tuple[State, str]:
    lists = [call for call in found.calls if call.answer is not None and not call.path.endswith("{id}")]
    if not lists:
        return "open", why_not_known(found, "no list was read")
    odd = []
    if bare := {call.path for call in lists if call.answer and not call.answer.links}:
        odd.append(f"Without `links`: {listed(bare)}. The library requests their pages by number.")
    metas = [call.answer.meta for call in lists if call.answer is not None]
    links = [call.answer.links for call in lists if call.answer is not None]
    unknown = {
        f"links.{name}" for found_in in links for name in _without_data(found_in.keys() - _LINKS, _OFTEN_USED_NAMES)
    }
    unknown |= {f"meta.{name}" for meta in metas for name in _without_data(meta.keys() - _META, _OFTEN_USED_NAMES)}
    if unknown:
        odd.append(f"Not documented: {listed(unknown)}.")
    if any(call.answer.links.get("last") for call in lists if call.answer):
        odd.append("`links.last` leads to the last page.")
    if any(isinstance(meta.get("per_page"), str) for meta in metas):
        odd.append("`meta.per_page` is a text.")
    return ("odd", " ".join(odd)) if odd else ("ok", f"As documented, in {len(lists)} answers.")


def _without_data(names: Iterable[object], known: frozenset[str]) -> set[str]:
    """Return the names that cannot be data."""
    return {str(name) if name in known else NOT_SHOWN for name in names}


def _by_id(found: Results, customers: Shape) -> tuple[State, str]:
    call = found.by_id
    if call is None or found.first is None:
        return "open", why_not_known(found, _NO_CUSTOMER)
    if call.error is not None or not call.rows:
        return "failed", f"{failure(call)}."
    same_id = [row for row in found.first.rows or () if isinstance(row, dict) and str(row.get("id")) in _row_ids(call)]
    by_id, row = (_attributes(next(iter(rows), None)) for rows in (call.rows, same_id))
    if by_id is None or row is None:
        return "failed", "The answer has another customer than the requested one, or no attributes."
    if more := by_id.keys() ^ row.keys():
        return "odd", f"Only in the list, or only in the answer by id: {listed(set(map(customers.named, more)))}."
    if differ := [name for name in row if row[name] != by_id[name]]:
        return "odd", f"Different in the list and in the answer by id: {listed(set(map(customers.named, differ)))}."
    return "ok", "A customer by id is the same as in the list."


def _attributes(row: Any) -> Mapping[str, Any] | None:
    found = row.get("attributes") if isinstance(row, dict) else None
    return found if isinstance(found, dict) else None


def _unknown_id(found: Results) -> tuple[State, str]:
    call = found.unknown_id
    if call is None or (call.error is not None and call.error is found.stopped_by):
        return "open", why_not_known(found, "it was not requested")
    first = found.first
    if call.error is not None and first is not None and _same_failure(call, first):
        return "open", f"Not known: the list of customers failed in the same way. {failure(call)}."
    if isinstance(call.error, errors.NotFound) and call.error.is_from_api:
        return "ok", "The answer is 404 with the code `not_found`."
    status = getattr(call.error, "status", "no status")
    came = "a record" if call.error is None else f"{type(call.error).__name__} ({status})"
    says = f"The answer is {came}, not 404 with the code `not_found`: a sync after a deletion ends in an error."
    return "failed", says


def _same_failure(one: Call, other: Call) -> bool:
    """Say whether two calls ended in the same error. Then the error says nothing about the record."""
    statuses = {getattr(call.error, "status", None) for call in (one, other)}
    return type(one.error) is type(other.error) and len(statuses) == 1


def _filter(found: Results) -> tuple[State, str]:
    day, filtered = found.day, found.filtered
    if day is None or not filtered:
        no_request = day is not None or "date" in found.skipped
        return "open", why_not_known(found, "no request was left" if no_request else "no event with dates was found")
    if failed := [one for one in filtered.values() if one.error is not None]:
        return (
            "failed",
            f"{listed({failure(one) for one in failed})}, with `filter[start]`: do not use --from and --to.",
        )
    came = {name: set(_row_ids(one)) for name, one in filtered.items()}
    on_day = {record_id for record_id, its in found.all_days.items() if its == day}
    if not on_day <= came.get("ours", on_day):
        return (
            "failed",
            "The filter drops a date of the requested day: --from and --to would miss it. Do not use them.",
        )
    outside = {record_id for record_id, its in found.all_days.items() if its < day} & came.get("after", set())
    outside |= {record_id for record_id, its in found.all_days.items() if its > day} & came.get("before", set())
    if outside:
        return "odd", "The API ignores the filter and sends all dates. The library drops the dates outside of it."
    if not set(found.all_days.values()) - {day}:
        return "open", "Not known: all dates that were read are of one day."
    bounds = [
        f"`{name}` {'includes' if on_day & came[name] else 'does not include'} the day itself"
        for name in ("after", "before")
        if name in came
    ]
    return "ok", " ".join(["The filter works.", *(f"{bound}." for bound in bounds)])


def of_times(found: Results, *, same: bool | None) -> Finding:
    """Return whether the offsets of dates are true.

    `same`: the user said that the written time of a date in summer is, or is not, the local time. It is None if the
    user did not know.
    """
    return _named("summer", _summer(found, same), "times")


def _summer(found: Results, same: bool | None) -> tuple[State, str]:
    starts = [start for row in found.rows_of("date") if (start := (_attributes(row) or {}).get("start"))]
    summer = {offset for start in starts if is_in_summer(start) and (offset := offset_in(start)) is not None}
    if "" in map(offset_in, starts):
        return (
            "odd",
            "Dates come without an offset. The library guesses none: they are None, and in `record.invalid`.",
        )
    if not summer:
        return "open", "Not known: no date in summer was among those read."
    offsets = listed(summer)
    if not (utc := summer & UTC_OFFSETS):
        return "ok", f"Dates in summer have the offset {offsets}, so their times are correct."
    if same is None or found.summer() is None:
        says = "Not known whether this is the local time: run the check on a terminal and answer its question."
        return "open", f"Dates in summer have the offset {offsets}. {says}"
    if same:
        return "odd", f"The times are local times, although they are written with {listed(utc)}. Do not convert them."
    return "ok", f"The offset {listed(utc)} is correct in summer too. Convert the times to local time."


def of_size(found: Results) -> list[Finding]:
    """Return about how many customers there are, and how many requests it takes to read them."""
    search = found.search
    if search is None or not (search.last or search.beyond):
        says = why_not_known(found, "no list of customers was read, or its pages overlap")
        return [_named(name, ("open", says), "size") for name in ("customers", "export", "sync")]
    pages = max(1, search.last if search.is_exact else search.last * 2 if search.beyond is None else search.beyond - 1)
    least, most = search.least, search.most
    if most is None:
        why = why_not_known(found, "the allowed requests were too few to find the last page")
        count, about = f"At least {_rounded(least)}. {why}", "At least "
        pages = search.last
    elif most == least:
        count, about = f"About {_about(least)}." if least else "None.", ""
    else:
        count, about = f"From {_rounded(least)} to {_rounded(most, up=True)}.", "At most "
    cost = f"{about}{counted(pages, 'request')}, {_minutes(pages)}"
    state: State = "ok" if most is not None else "open"
    return [
        _named("customers", (state, count), "size"),
        _named("export", (state, f"{cost}. In a program `verify=True` takes at least twice that."), "size"),
        _named("sync", (state, f"{cost}, and a request for each customer that is no longer in the list."), "size"),
    ]


def _about(count: int) -> str:
    """Return a number rounded to two digits."""
    zeros = max(0, len(str(count)) - 2)
    return f"{round(count, -zeros):,}"


def _rounded(count: int, *, up: bool = False) -> str:
    """Return a bound rounded to three digits, so that it is still a bound."""
    unit = 10 ** max(0, len(str(count)) - 3)
    return f"{-(-count // unit) * unit if up else count // unit * unit:,}"


def _minutes(requests: int) -> str:
    minutes = -(-requests // REQUESTS_A_MINUTE)
    time = "less than a minute" if minutes <= 1 else f"about {minutes:,} minutes"
    return f"{time} at {REQUESTS_A_MINUTE} a minute"
