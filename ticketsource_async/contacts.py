"""How names, telephones and e-mails are compared, and which contacts two customers can share."""

import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from ticketsource_async.models import Customer

_PLAIN: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i", "ħ": "h", "ŧ": "t"}
)
"""Letters that Unicode does not take apart."""

_APOSTROPHE: Final = re.compile("['`\u00b4\u02bc\u2018\u2019\u2032]")


def folded(text: str) -> str:
    """Return a text in which capitals and accents make no difference; characters that nobody sees are left out."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in apart if unicodedata.category(c) not in ("Mn", "Cf")).translate(_PLAIN)


def words_of(name: str) -> list[str]:
    """Return the words of a name: an apostrophe is left out, any other mark ends a word."""
    return re.findall(r"\w+", folded(_APOSTROPHE.sub("", name)))


def national(telephone: str) -> str:
    """Return the digits of a telephone as one dials them in the United Kingdom: +44, 0044 and 44 are 0.

    The 0 in brackets behind the country code is left out. Another country begins with 00.
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
    """Return the digits of a telephone as `national` does, with the zero that a spreadsheet may have dropped."""
    digits = national(re.sub(r"^(\s*[0-9]+)\.0\s*$", r"\1", telephone))
    return f"0{digits}" if re.fullmatch("[1237][0-9]{9}", digits) else digits


def is_telephone(digits: str, telephone: str) -> bool:
    """Say whether these digits are in a field of telephones, which may have more than one."""
    return any(digits in _stored_national(number) for number in (telephone, *_numbers_in(telephone)))


def _numbers_in(telephone: str) -> list[str]:
    """Return the telephones in a field, which may have more than one."""
    return re.split("[/,;&|]| or ", telephone)


def comparable_email(email: str) -> str:
    """Return an e-mail as it is compared with another."""
    return unicodedata.normalize("NFC", email.strip()).casefold()


Reason = Literal["email", "name and postcode", "telephone and surname"]
"""Why two customers may be one person."""

_LEAST_DIGITS: Final = 6


def contacts_of(customer: "Customer") -> Iterator[tuple[Reason, str]]:
    """Yield what another customer may have too if both are one person.

    A telephone of few digits, or of one digit repeated, stands for none.
    """
    if customer.email and "@" in customer.email:
        yield "email", comparable_email(customer.email)
    first_name, surname = ("".join(words_of(name or "")) for name in (customer.first_name, customer.last_name))
    if not surname:
        return
    postcode = re.sub(r"[\W_]", "", folded(customer.address.postcode or "")) if customer.address else ""
    if postcode:
        yield "name and postcode", f"{postcode} {first_name} {surname}"
    for number in _numbers_in(customer.telephone or ""):
        digits = _stored_national(number)
        if len(digits) >= _LEAST_DIGITS and len(set(digits.lstrip("0"))) > 1:
            yield "telephone and surname", f"{digits} {surname}"
