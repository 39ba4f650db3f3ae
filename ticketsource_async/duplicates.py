"""Find customers who may be one person: they share an e-mail, a name and postcode, or a telephone and surname."""

from collections.abc import Mapping

from attrs import field, frozen

from ticketsource_async.contacts import SHARED_AT_MOST, Reason, contacts_of
from ticketsource_async.models import Customer


@frozen
class Duplicate:
    """A customer who may be the same person as others of a group, and what they share with at least one of these."""

    group: int
    size: int
    reasons: tuple[Reason, ...]
    customer: Customer

    @property
    def invalid(self) -> Mapping[str, object]:
        """The values of the customer that could not be read, by their path from this object."""
        return {f"customer.{path}": raw for path, raw in self.customer.invalid.items()}


@frozen
class Member:
    """A customer of a group. `number` is the place of the customer in the order of `DuplicateSearch.add`, from 0."""

    number: int
    reasons: tuple[Reason, ...]


@frozen
class DuplicateSearch:
    """The search for groups among the customers that you add. It keeps their contacts, not the customers."""

    _ids: set[str] = field(factory=set)
    _numbers_by_contact: dict[tuple[Reason, str], list[int]] = field(factory=dict)

    def add(self, customer: Customer) -> bool:
        """Add a customer under the next number, from 0. Return False if they were added before."""
        if customer.id in self._ids:
            return False
        number = len(self._ids)
        self._ids.add(customer.id)
        for contact in dict.fromkeys(contacts_of(customer)):
            self._numbers_by_contact.setdefault(contact, []).append(number)
        return True

    @property
    def ignored(self) -> int:
        """How many contacts were not compared, since more than `SHARED_AT_MOST` customers have them."""
        return sum(len(numbers) > SHARED_AT_MOST for numbers in self._numbers_by_contact.values())

    def groups(self) -> list[list[Member]]:
        """Return the groups. Those with the most in common come first, then the largest."""
        reasons: dict[int, dict[Reason, None]] = {}
        group_of: dict[int, list[int]] = {}
        for (reason, _), numbers in self._numbers_by_contact.items():
            if not 2 <= len(numbers) <= SHARED_AT_MOST:
                continue
            for number in numbers:
                reasons.setdefault(number, {})[reason] = None
                group_of.setdefault(number, [number])
                _unite(group_of, numbers[0], number)
        groups = {id(numbers): sorted(numbers) for numbers in group_of.values()}.values()
        found = [[Member(number, tuple(reasons[number])) for number in numbers] for numbers in groups]
        return sorted(found, key=lambda group: (-len(_shared(group)), -len(group), group[0].number))


def _unite(group_of: dict[int, list[int]], one: int, other: int) -> None:
    larger, smaller = sorted((group_of[one], group_of[other]), key=len, reverse=True)
    if larger is not smaller:
        larger += smaller
        group_of |= dict.fromkeys(smaller, larger)


def _shared(group: list[Member]) -> set[Reason]:
    return {reason for member in group for reason in member.reasons}
