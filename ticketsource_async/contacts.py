"""Compare names, telephones and e-mails, and find the contacts that two customers can share."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from ticketsource_async.models import Customer

_PLAIN: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i", "ħ": "h", "ŧ": "t"}
)
"""Letters that Unicode does not split into a base letter and an accent."""

_APOSTROPHE: Final = re.compile("['`\u00b4\u02bc\u2018\u2019\u2032]")


def folded(text: str) -> str:
    """Return a text for comparison: without capitals, accents and invisible characters."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in decomposed if unicodedata.category(c) not in ("Mn", "Cf")).translate(_PLAIN)


def words_of(name: str) -> list[str]:
    """Return the words of a name. An apostrophe is left out; any other mark ends a word."""
    return re.findall(r"\w+", folded(_APOSTROPHE.sub("", name)))


def national(telephone: str) -> str:
    """Return the digits of a telephone as people dial them in the United Kingdom: +44, 0044 and 44 become 0.

    The 0 in brackets after the country code is left out. A number of another country begins with 00.
    """
    text = folded(telephone)
    digits = re.sub("[^0-9]", "", text)
    if re.match(r"[^0-9]*\+", text):
        abroad = digits
    elif digits.startswith("00"):
        abroad = digits[2:]
    elif re.fullmatch("440?[0-9]{9,10}", digits):
        abroad = digits
    else:
        return digits
    return "0" + abroad[2:].removeprefix("0") if abroad.startswith("44") else "00" + abroad


def _stored_national(telephone: str) -> str:
    """Return the digits of a telephone as `national` does, and add the zero that a spreadsheet may have removed."""
    digits = national(re.sub(r"^(\s*[0-9]+)\.0\s*$", r"\1", telephone))
    return f"0{digits}" if re.fullmatch("[1237][0-9]{9}", digits) else digits


def is_telephone(digits: str, telephone: str) -> bool:
    """Say whether a telephone field has these digits. It may have more than one telephone."""
    return any(digits in _stored_national(number) for number in (telephone, *_numbers_in(telephone)))


_NO_NUMBER: Final = re.compile(
    r"(?<![a-z])(?:ext(?:n|ension)?[.:\s]{0,3}|[x#]\s?(?!0))[0-9]{1,6}(?![0-9])"  # an extension
    r"|[0-9.]{1,20}e\+?[0-9]{1,3}(?![0-9])"  # a number as a spreadsheet changed it
)
_ONE_NUMBER: Final = re.compile(r"\+?[0-9 ()-]{0,19}")  # almost all fields: too short for two telephones
_BETWEEN: Final = re.compile(r"[/,;&|\\\r\n\t]|\s\+\s|[^\W\d_]+")
_WHOLE_DIGITS: Final = 10  # of a telephone with its area code


def _numbers_in(telephone: str) -> list[str]:
    """Return the telephones in a field. Extensions and words are left out."""
    if _ONE_NUMBER.fullmatch(telephone):
        return [telephone]
    text = _NO_NUMBER.sub("/", folded(telephone))
    # Brackets contain an area code, a zero, or another telephone.
    text = re.sub(r"[(\[]([^()\[\]]{10,})[)\]]", r"/\1/", text)
    return [number for some in _BETWEEN.split(text) for number in _split_telephones(some)]


def _split_telephones(telephone: str) -> list[str]:
    """Return the telephones in a text that has only spaces, pluses or dashes between them."""
    numbers = [""]
    for word in telephone.split():
        if re.match(r"[(\[]?[+0]", word) and len(national(numbers[-1])) >= _WHOLE_DIGITS:
            numbers.append("")
        numbers[-1] = f"{numbers[-1]} {word}"
    return numbers if len(national(numbers[-1])) >= _WHOLE_DIGITS else [telephone]


def comparable_email(email: str) -> str:
    """Return an e-mail for comparison: without capitals and without spaces around it."""
    return unicodedata.normalize("NFC", email.strip()).casefold()


Reason = Literal["email", "name and postcode", "telephone and surname"]
"""Why two customers may be one person."""

SHARED_AT_MOST: Final = 10
"""A contact that more customers share belongs to a venue, a school or a box office, and identifies no person."""

_LEAST_DIGITS: Final = 6
_INVENTED_DIGITS: Final = 7
_NO_NAMES: Final = frozenset(
    {
        *("unknown", "notknown", "none", "noname", "anonymous", "anon", "anonymised", "anonymized"),
        *("null", "undefined"),  # from software
        *("test", "testtest", "testing"),  # from people who try a form
        *("tba", "tbc"),
    }
)
"""Texts that mean "no name". A few people may have such a surname; they are still found by their e-mail."""


def _name_in(text: str | None) -> str:
    """Return a name for comparison, empty if there is none or if the text means "no name"."""
    name = "".join(words_of(text or ""))
    if not re.search(r"[^\W\d_]", name) or name in _NO_NAMES or re.fullmatch(r"\W*n\W+a\W*", folded(text or "")):
        return ""
    return name


def _surname_in(text: str | None) -> str:
    """Return a surname for comparison. A placeholder of one repeated letter, such as X or XXX, is no surname."""
    name = _name_in(text)
    return "" if re.fullmatch(r"[a-np-z]|([a-z])\1\1+", name) else name


def _is_invented(digits: str) -> bool:
    """Say whether a telephone is invented: it ends in many equal digits, or in digits that count up or down."""
    step = (ord(digits[-1]) - ord(digits[-2])) % 10
    if step not in (0, 1, 9):
        return False
    steps = [(ord(one) - ord(other)) % 10 for one, other in pairwise(reversed(digits))]
    in_a_row = 1 + next((place for place, other in enumerate(steps) if other != step), len(steps))
    return in_a_row >= min(_INVENTED_DIGITS, len(digits.lstrip("0")))


def contacts_of(customer: "Customer") -> Iterator[tuple[Reason, str]]:
    """Yield the contacts by which two customers may be one person: the reason, and the text to compare.

    A text that means no name, e-mail, postcode or telephone is left out. Another version of this library may compare in
    another way, so do not store the texts in a file.
    """
    before, _, domain = (customer.email or "").strip().rpartition("@")
    if before and "." in domain.strip("."):
        yield "email", comparable_email(customer.email or "")
    first_name, surname = _name_in(customer.first_name), _surname_in(customer.last_name)
    if not surname:
        return
    postcode = re.sub(r"[\W_]", "", folded(customer.address.postcode or "")) if customer.address else ""
    if first_name and re.search("[0-9]", postcode):
        yield "name and postcode", f"{postcode} {first_name} {surname}"
    for number in _numbers_in(customer.telephone or ""):
        digits = _stored_national(number)
        if len(digits) >= _LEAST_DIGITS and not _is_invented(digits):
            yield "telephone and surname", f"{digits} {surname}"
