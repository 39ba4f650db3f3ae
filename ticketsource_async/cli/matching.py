"""Find the customer of each row with as few requests as possible."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from ticketsource_async.cli.columns import Match
from ticketsource_async.cli.common import TRY_AGAIN_LATER, fail, progress
from ticketsource_async.cli.damage import clean, may_become, without_separators
from ticketsource_async.cli.lines import Line, email_key, member_key, refuse_alike
from ticketsource_async.errors import InvalidID, InvalidResponse, NotFound

if TYPE_CHECKING:
    from tqdm import tqdm

    from ticketsource_async import Customer, TicketSource

_MOST_IDS: Final = 10
_ROWS_A_TASK: Final = 400  # with few rows, fewer pages are requested ahead that may not be needed


async def find_customers(ts: "TicketSource", lines: list[Line], match: Match, *, quiet: bool) -> bool:
    """Set the customer of each row, or the reason why the row is refused. A row with neither is for a new customer.

    Returns True if the list of customers was read and is empty.
    """
    open_lines = [line for line in lines if not line.problems]
    if not open_lines:
        return False
    is_empty = False
    if match == "id":
        await _by_id(ts, open_lines, quiet=quiet)
    else:
        # A customer who signs up after the list was read would be created twice.
        everybody = _Everybody(open_lines, match, Counter(line.key for line in lines if line.key))
        await everybody.read(ts, quiet=quiet)
        everybody.give_to(open_lines)
        is_empty = everybody.is_empty
    refuse_alike(
        [line for line in open_lines if line.before is not None],
        lambda line: line.before and line.before.id,
        lambda others, line: f"{others} the same customer, {line.before and line.before.id}",
    )
    return is_empty


async def check_is_listed(ts: "TicketSource", created_id: str, row: int) -> None:
    """End the command unless the list, which was empty, has the created customer and no other one now."""
    listed = await ts.customers.list(max_items=2, on_invalid=lambda _: None).collect()
    if [customer.id for customer in listed] == [created_id]:
        return
    fail(
        f"the list of customers was empty. After row {row} created {created_id}, it "
        f"{'has other customers' if listed else 'is still empty'}. So the list cannot be trusted, and the import "
        "ended: the other rows could create customers a second time. If this person is in TicketSource twice, delete "
        f"{created_id}. Import again when `customers export` writes your customers.",
        TRY_AGAIN_LATER,
    )


# By id


async def _by_id(ts: "TicketSource", lines: list[Line], *, quiet: bool) -> None:
    """Find the customers in the list as long as that may need fewer requests than a call for each."""
    missing = {line.key: line for line in lines}
    with progress("customers read", quiet=quiet) as shown:
        if len(missing) > _MOST_IDS and await _from_list(ts, missing, shown) and len(missing) > _MOST_IDS:
            for line in missing.values():
                line.problems.append("no customer in the list has this id")
            return
        async with ts.customers.get_many(list(missing)) as found:
            async for outcome in found:
                shown.update()
                line = missing[outcome.input]
                if outcome.error is None:
                    line.before = outcome.unwrap()
                elif isinstance(outcome.error, NotFound | InvalidID):
                    line.problems.append("there is no customer with this id")
                elif isinstance(outcome.error, InvalidResponse):
                    line.problems.append(str(outcome.error))
                else:
                    raise outcome.error


async def _from_list(ts: "TicketSource", missing: dict[str, Line], shown: "tqdm[Any]") -> bool:
    """Set the customers of rows from the list. Rows without a customer stay in `missing`.

    Returns False if the list was not read to its end. Reading stops when the number of pages without a wanted customer
    reaches the number of missing customers.
    """
    pages_ahead = min(8, 1 + len(missing) // _ROWS_A_TASK)
    listed = ts.customers.list(concurrency=pages_ahead, on_invalid=lambda _: None)
    in_vain = 0
    async with aclosing(listed.pages()) as pages:
        async for page in pages:
            shown.update(len(page.items))
            found = [customer for customer in page.items if customer.id in missing]
            for customer in found:
                missing.pop(customer.id).before = customer
            in_vain += not found
            if in_vain >= len(missing):
                return False
    return True


# By e-mail or membership


class _Everybody:
    """The customers of a box office that may match a row."""

    def __init__(self, lines: Iterable[Line], match: Match, rows_by_key: Counter[str]) -> None:
        """Prepare the search for the customers of rows. `rows_by_key` also counts refused rows."""
        self._match: Match = match
        self._wanted = {self._key(line.key) for line in lines}
        self._rows: Counter[str] = Counter()
        for key, count in rows_by_key.items():
            self._rows[self._key(key)] += count
        self._emails = {email_key(line.cells.get("email", "")) for line in lines} - {""}
        self._found: dict[str, list[Customer]] = defaultdict(list)
        self._by_email: dict[str, list[Customer]] = defaultdict(list)
        self._surnames = {line.surname for line in lines} | {""} if match == "membership" else set[str]()
        self._by_surname: dict[str, list[Customer]] = defaultdict(list)
        self._unknown: list[str] = []
        self.is_empty = True

    async def read(self, ts: "TicketSource", *, quiet: bool) -> None:
        """Read the list of customers. If a row may create a customer, read it until none can be missed."""
        listed = ts.customers.list(concurrency=8, verify=True, on_invalid=self._note_unreadable)
        with progress("customers read", quiet=quiet) as shown:
            async with aclosing(listed.pages()) as pages:
                async for page in pages:
                    shown.update(len(page.items))
                    self.is_empty = self.is_empty and not page.items
                    for customer in page.items:
                        self._note(customer)
                    if page.next_url is None and self._has_all():
                        return
        if not listed.report.complete:
            fail("the list of customers changes too fast to be sure who is there: try again later.", TRY_AGAIN_LATER)

    def _has_all(self) -> bool:
        """Say whether every row has found a customer, so that none is created."""
        return all(self._found[key] and self._rows[key] == 1 for key in self._wanted)

    def give_to(self, lines: Iterable[Line]) -> None:
        """Set the customer of each row, or the reason why the customer is not certain."""
        sharing: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            sharing[self._key(line.key)].append(line)
        for key, group in sharing.items():
            if self._match == "membership":
                _give_members(group, self._found[key], shared=self._rows[key] > 1)
            else:
                _give_only(group[0], self._found[key])
        for line in lines:
            if line.before is None and not line.problems:
                self._check_is_new(line)
        if self._match == "membership":
            _refuse_new_twice([line for line in lines if line.before is None and not line.problems])

    def _key(self, given: str) -> str:
        return member_key(given) if self._match == "membership" else given

    def _note(self, customer: "Customer") -> None:
        email = email_key(customer.email or "")
        member = customer.membership and customer.membership.identifier
        path = "email" if self._match == "email" else "membership.identifier"
        if path in customer.invalid or path.partition(".")[0] in customer.invalid:
            self._unknown.append(customer.id)
        key = email if self._match == "email" else member and self._key(clean(member))
        if key and key in self._wanted:
            self._found[key].append(customer)
        if email in self._emails:
            self._by_email[email].append(customer)
        if member and (surname := _name(customer.last_name)) in self._surnames:
            self._by_surname[surname].append(customer)

    def _note_unreadable(self, error: InvalidResponse) -> None:
        self.is_empty = False
        self._unknown.append(error.id or "a row of the list")

    def _check_is_new(self, line: Line) -> None:
        """Refuse a row if an existing customer may be the person to create."""
        if self._unknown:
            more = f" and {len(self._unknown) - 3:,} more" if len(self._unknown) > 3 else ""
            what = "email" if self._match == "email" else "membership number"
            line.problems.append(
                f"no customer is known to have this {what}, but that of {', '.join(self._unknown[:3])}{more} could not "
                "be read: correct it in TicketSource first, or the person may be there twice"
            )
        same = self._by_email.get(email_key(line.cells.get("email", "")), [])
        if same := [customer for customer in same if _name(customer.last_name) in ("", line.surname)]:
            line.problems.append(f"{_ids(same)} has this email and surname, but not this membership number")
        for customer in (*self._by_surname[line.surname], *self._by_surname[""]):
            if may_become(number := _number(customer), line.key):
                line.problems.append(
                    f"its membership number looks like {number!r} of {customer.id} in another form: write it as stored"
                )
                break


def _give_members(lines: list[Line], customers: "list[Customer]", *, shared: bool) -> None:
    """Set the customers of rows with the same number: by surname if several rows or customers have the number."""
    if len(customers) == 1 and not shared and _number(customers[0]) == lines[0].key:
        _give_member(lines[0], customers[0])
        return
    for line in lines:
        same = [customer for customer in customers if line.surname and _name(customer.last_name) == line.surname]
        if len(same) == 1:
            _give_member(line, same[0])
        elif same:
            line.problems.append(f"{len(same):,} customers have this membership number and surname: {_ids(same)}")
        elif shared and not line.surname:
            line.problems.append("other people have this membership number: fill in last_name")
    taken = {line.before.id for line in lines if line.before is not None}
    left = [customer for customer in customers if customer.id not in taken]
    for line in lines:
        if line.before is None and not line.problems and left:
            line.problems.append(f"its membership number may be that of {_ids(left)}: give the last_name as stored")


def _give_member(line: Line, customer: "Customer") -> None:
    """Set the customer of a row, unless the names show that the row is for another person, such as a partner.

    The surname may differ if the first name is the same. Otherwise the surname must be the same, if it is known.
    """
    pairs = [
        (_name(stored), _name(given))
        for stored, given in (
            (customer.first_name, line.cells.get("first_name")),
            (customer.last_name, line.cells.get("last_name")),
        )
        if _name(stored) and given
    ]
    if pairs and pairs[0][0] != pairs[0][1]:
        line.problems.append(
            f"its membership number is that of {customer.id}, who has another name: use --match id to change the name"
        )
    else:
        line.before = customer


def _refuse_new_twice(lines: list[Line]) -> None:
    """Refuse rows that seem to create the same person twice."""
    refuse_alike(
        lines,
        lambda line: (without_separators(member_key(line.key)), line.surname),
        lambda others, _: f"{others} almost the same membership number and the same surname",
    )

    def email_and_surname(line: Line) -> tuple[str, str]:
        return email_key(line.cells.get("email", "")), line.surname

    # Relatives may share an e-mail and a surname; their first names differ.
    unsure = {email_and_surname(line) for line in lines if "first_name" not in line.cells}
    refuse_alike(
        [line for line in lines if "email" in line.cells],
        lambda line: (found := email_and_surname(line), "" if found in unsure else _name(line.cells["first_name"])),
        lambda others, _: f"{others} the same email and name",
    )


def _give_only(line: Line, customers: "list[Customer]") -> None:
    """Set the customer of a row, if one customer has its e-mail."""
    if len(customers) > 1:
        line.problems.append(f"{len(customers):,} customers have this email: {_ids(customers)}")
        return
    customer_id = line.cells.get("id")
    if customer_id and [customer.id for customer in customers] != [customer_id]:
        who = customers[0].id if customers else "nobody"
        line.problems.append(f"its id is {customer_id}, but {who} has its email: use --match id to change an email")
    line.before = customers[0] if customers else None


def _ids(customers: "list[Customer]") -> str:
    more = f" and {len(customers) - _MOST_IDS:,} more" if len(customers) > _MOST_IDS else ""
    return f"{', '.join(customer.id for customer in customers[:_MOST_IDS])}{more}"


def _number(customer: "Customer") -> str:
    """Return the membership number of a customer, in the form that rows have."""
    return clean((customer.membership and customer.membership.identifier) or "")


def _name(name: str | None) -> str:
    """Return a name for comparison, without capitals."""
    return clean(name or "").casefold()
