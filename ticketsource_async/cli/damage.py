"""Distinguish damage by a spreadsheet from changes by a person. The functions read and write nothing.

A spreadsheet can turn a text into a number, a formula or a day. A wrong encoding spoils letters. `old` is the stored
text, `new` the text in the file, both as `clean` returns them.
"""

import re
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal, localcontext
from typing import Final

from ticketsource_async.files.formulas import NOT_COMPUTED

_LINE_END: Final = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
# Unicode's ignorable characters, such as direction marks and fillers, and control characters except tab and line break.
_INVISIBLE: Final = re.compile(
    "[\\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff"
    "\U000e01f0-\U000e0fff]"
)
JOINERS: Final = "\u200c\u200d\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
"""Joiners and variation selectors, as part of an expression. They belong to letters from Arabic on, and to emoji."""
_JOINED: Final = re.compile(
    f"([\u0600-\u180a\u180e\u1810-\u1fff\u2190-\ufdff\ufe10-\U000e00ff\U000e01f0-\U0010ffff])?([{JOINERS}]+)(\\s|\\Z)?"
)

_LONGEST: Final = 100
"""More characters than a spreadsheet writes for a number or a day. On a longer text the expressions would be slow."""

_SEPARATORS: Final = "[,.'\u2019\u00a0\u202f]"
_MONEY: Final = (
    "(?:[$¢-¥֏؋৲৳৻૱௹฿៛\u20a0-\u20cf\ufdfc\ufe69\uff04\uffe0\uffe1\uffe5\uffe6]"
    "|USD|EUR|GBP|CHF|JPY|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|INR|CNY|ZAR)"
)
_CURRENCY: Final = re.compile(rf"(?<![^+-])\s*{_MONEY}\s*|\s*{_MONEY}\Z")
_MINUS: Final = re.compile("[\u2010-\u2013\u2212\ufe63\uff0d](?=[0-9.,(])")
_ACCOUNTED: Final = re.compile(rf"\(({_MONEY}?\s*[0-9][0-9.,'\u2019\s]*)\)|([0-9][0-9.,'\u2019\s]*)-")
_SPACED: Final = re.compile(r"[+-]?[0-9]{1,4}(?:[\s,.'\u2019][0-9]{2,3})*[\s,.'\u2019][0-9]{3}")
_TRUTHS: Final = (
    ("true", "wahr", "vrai", "verdadero", "vero", "waar", "verdadeiro", "prawda", "pravda", "igaz", "sant", "истина"),
    ("false", "falsch", "faux", "falso", "onwaar", "fałsz", "nepravda", "hamis", "falskt", "usann", "ложь"),
)
"""The words of spreadsheets for true and false."""
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.|[.,][0-9]+)?|[.,][0-9]+)(?:[Ee][+-]?[0-9]{1,3})?")
_MIXED: Final = re.compile(r"([0-9]{1,9}) ([0-9]{1,3})/([0-9]{1,3})")
_GROUPED: Final = re.compile(rf"[+-]?[0-9]{{1,3}}(?P<mark>{_SEPARATORS})[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*(?:[.,]0+)?")
_NEVER_OF_A_NUMBER: Final = re.compile(r"\+|0[0-9]")
_SCIENTIFIC: Final = re.compile(r"(-?[0-9]+)(?:[.,]([0-9]+))?[Ee]\+?(-?[0-9]{1,3})")
_TELEPHONE: Final = re.compile(r"\+?[0-9\s()./-]+")
_MARKS_OF_TELEPHONES: Final = re.compile(r"[\s()./-]")
_NEGATIVE: Final = re.compile(r"-[0-9][0-9.,'\u2019\s]*")
_TERM: Final = re.compile(r"([-+*/]?)\(?([0-9]+(?:\.[0-9]+)?)\)?")

OFTEN_DIGITS: Final = ("telephone", "membership_identifier", "address_postcode")
"""Columns whose texts often have only digits."""

_WITH_ZEROS: Final = re.compile(r"[0-9]+[.,]0+")
_ERROR: Final = re.compile(
    r"#(?:N/?[AV]|N/D|\u041d/\u0414|I/T|\u0394/\u03a5|[¿¡]?[^\W\d_][\w/]*(?: [\w/]+)?[!?]|GETTING_DATA|#+)"
    r"|(?:Err|Fehler):[0-9]{3}",
    re.IGNORECASE,
)
_TEXT_FORMULA: Final = re.compile(r'=\s*"[^"]*"')

_MONTH: Final = (
    "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?)"
)
_TIME: Final = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?: ?[ap]\.? ?m\.?)?"
_DAY_WITH_MONTH: Final = re.compile(
    rf"[0-9]{{1,2}}[-/. ]+{_MONTH}\.?(?:[-/. ]+[0-9]{{2,4}})?|{_MONTH}\.?[-/. ]+[0-9]{{2,4}}", re.IGNORECASE
)
_DAY_OR_TIME: Final = re.compile(
    rf"(?:{_DAY_WITH_MONTH.pattern}|[0-9]{{1,2}}[-/.] ?[0-9]{{1,2}}[-/.] ?[0-9]{{2,4}}"
    rf"|[0-9]{{4}}[-/.] ?[0-9]{{1,2}}[-/.] ?[0-9]{{1,2}}\.?)(?:[ T]{_TIME})?|{_TIME}",
    re.IGNORECASE,
)
_LIKE_A_DAY_OR_TIME: Final = re.compile(
    r"[0-9]{1,2}[-/.:][0-9]{1,4}(?:[-/.:][0-9]{1,4}|\.)?|[0-9]{4}[-/.][0-9]{1,2}(?:[-/.][0-9]{1,2})?"
    rf"|[0-9]{{1,4}}[-/. ]*{_MONTH}\.?(?:[-/. ]*[0-9]{{1,4}})?|{_MONTH}\.?[-/. ]*[0-9]{{1,4}}"
    r"|[0-9]{1,2} ?[ap]m?",
    re.IGNORECASE,
)
_FRACTION: Final = re.compile(r"0?[.,][0-9]+")
_SERIAL_DAY: Final = re.compile(rf"[0-9]{{2}}(?:{_SEPARATORS}| )?[0-9]{{3}}(?:[.,][0-9]+)?")
# In any language, as "Fri, 2 Jan", "January 2, 2026", "10. Dez", "2 de enero de 2026", and as 1月2日.
_WORD: Final = r"[^\W\d_]{2,}\.?"
_WORDED_DAY: Final = re.compile(
    rf"(?:{_WORD},? )?[0-9]{{1,4}}(?:\W|de )*{_WORD}(?:(?:\W|de )*[0-9]{{2,4}})?"
    rf"|(?:{_WORD}, )?{_WORD}[-/. ]*[0-9]{{1,4}}(?:,? [0-9]{{2,4}})?"
    r"|(?:[0-9]{2,4} ?[年년] ?)?[0-9]{1,2} ?[月월](?: ?[0-9]{1,2} ?[日일])?"
)
_PART_OF_DAY: Final = re.compile(r"[0-9]{1,4}[-/.][0-9]{1,4}\.?")
_NUMBERS: Final = re.compile(r"[0-9]+")

_MIXED_UP: Final = tuple(
    (right, wrong)
    for right in ("utf-8", "cp1252", "mac-roman")
    for wrong in ("cp1252", "latin-1", "mac-roman", "cp850")
)


def clean(text: str) -> str:
    """Return a text in NFC, without invisible characters and without spaces at its ends."""
    if text.isascii() and text.isprintable():
        return text.strip()
    text = _JOINED.sub(_joined, _INVISIBLE.sub("", _LINE_END.sub("\n", text)))
    return unicodedata.normalize("NFC", text).strip()


def _joined(found: re.Match[str]) -> str:
    """Return a letter with its joiners and selectors. Those that do not belong to it, or end a word, are left out."""
    letter, joiners, end = found.groups()
    if not letter:
        return end or ""
    return letter + (joiners if end is None else joiners.rstrip("\u200c\u200d") + end)


def is_number_form(old: str, new: str) -> bool:
    """Say whether a cell is the stored text written as a number: without its zero or plus, as `4.4E+11`, with `.0`."""
    for words, digit in zip(_TRUTHS, "10", strict=True):  # "True" is a surname
        if old.lower() in words and (new.lower() in words or new == digit):
            return True
    new = _as_number(new)
    if _NEVER_OF_A_NUMBER.match(new):
        return False
    wanted, given = _numbers(old), _numbers(new)
    digits = _digits(old)
    if (len(digits) > 4 or digits == old != "") and (digits[0] in "+0" or not new.isdecimal()):
        wanted.add(Decimal(digits))
    if wanted & given:
        return True
    if not (shown := _SCIENTIFIC.fullmatch(new)):
        return False
    whole, fraction, exponent = shown.groups(default="")
    half = Decimal(5).scaleb(int(exponent) - len(fraction) - 1)
    value = Decimal(f"{whole}.{fraction or 0}").scaleb(int(exponent))
    return any(abs(number - value) <= half for number in wanted)


def _as_number(text: str) -> str:
    """Return a number with another minus sign, or in parentheses, with a plain minus before it."""
    if len(text) > _LONGEST:
        return text
    text = _MINUS.sub("-", text)
    found = _ACCOUNTED.fullmatch(text)
    return f"-{(found[1] or found[2]).strip()}" if found else text


def _numbers(text: str) -> set[Decimal]:
    """Return the numbers that a spreadsheet can make of a text: 1.234 may be 1234, and £5 is 5."""
    found = set()
    if len(text) > _LONGEST:
        return set()
    bare = _CURRENCY.sub("", text, count=1)
    without = bare.removesuffix("%").rstrip()
    if _DECIMAL.fullmatch(without):
        found.add(Decimal(without.replace(",", ".")))
    if _GROUPED.fullmatch(without):
        whole = without if re.search(rf"{_SEPARATORS}000\Z", without) else re.sub(r"[.,]0+\Z", "", without)
        found.add(Decimal(re.sub(_SEPARATORS, "", whole)))
    if _SPACED.fullmatch(without):
        found.add(Decimal(re.sub(r"[^0-9-]", "", without)))
    if (mixed := _MIXED.fullmatch(without)) and int(mixed[3]):
        found.add(int(mixed[1]) + Decimal(mixed[2]) / Decimal(mixed[3]))
    return {number / 100 for number in found} if bare.endswith("%") else found


def _digits(text: str) -> str:
    """Return the digits of a telephone with its plus; empty if the text is no telephone."""
    digits = _MARKS_OF_TELEPHONES.sub("", text) if _TELEPHONE.fullmatch(text) else ""
    return digits if digits.isascii() and digits.lstrip("+") else ""


def _lost_digits(old: str, new: str) -> bool:
    """Say whether only the first 15 digits are left."""
    digits = _digits(old).lstrip("+0")
    if len(digits) < 16 or not new.isdecimal() or digits == new:
        return False
    with localcontext(prec=15):
        rounded = +Decimal(digits)
    cut = Decimal(digits[:15].ljust(len(digits), "0"))
    return Decimal(new) in (rounded, cut, Decimal(float(rounded)), Decimal(float(cut)), Decimal(float(digits)))


def _computed(old: str, new: str) -> bool:
    """Say whether a cell is the computed result of the stored text: -961589 of +44-1632-960001, or 0.5 of 1/2."""
    new = _as_number(new)
    if not (given := _numbers(new)):
        return False
    if _NEGATIVE.fullmatch(new) and any(map(str.isdecimal, old)) and not old.startswith("-"):
        return True
    formula = re.sub(r"\s", "", old).removeprefix("=")
    terms = _TERM.findall(formula)
    is_sum = old[:1] in tuple("=+-") or re.fullmatch(r"[0-9]+(?:\.[0-9]+)?/[0-9]+", formula)
    if not is_sum or len(terms) < 2 or "".join(sign + number for sign, number in terms) != re.sub("[()]", "", formula):
        return False
    total, latest = Decimal(0), Decimal(0)
    for sign, number in terms:
        if sign == "/" and not Decimal(number):
            return False
        if sign in ("*", "/"):
            latest = latest * Decimal(number) if sign == "*" else latest / Decimal(number)
        else:
            total, latest = total + latest, Decimal(f"{sign}{number}")
    return any(abs(total + latest - value) <= abs(value) * Decimal("1e-6") for value in given)


def _taken_for_a_day(old: str, new: str) -> bool:
    """Say whether a day or a time, in any form, replaced a text that looks like one."""
    if old == new or len(new) > _LONGEST or not _LIKE_A_DAY_OR_TIME.fullmatch(old):
        return False
    if any(form.fullmatch(new) for form in (_DAY_OR_TIME, _SERIAL_DAY, _FRACTION)):
        return True
    was, now = (list(map(int, _NUMBERS.findall(text))) for text in (old, new))
    if _PART_OF_DAY.fullmatch(new):
        return sorted(was) == sorted(now)
    # The month becomes a name; the day or the year stays a number.
    kept = {number % 100 for number in was} & {number % 100 for number in now}
    return bool(_WORDED_DAY.fullmatch(new)) and (bool(kept) or not was)


def is_error(text: str) -> bool:
    """Say whether a text is an error of a spreadsheet, such as #N/A, or stands for a formula without a result."""
    return bool(_ERROR.fullmatch(text))


def is_misread(old: str, new: str) -> bool:
    """Say whether the letters of a text were read or saved in a wrong encoding."""
    if old.isascii() or old == new:
        return False
    for right, wrong in _MIXED_UP:
        with suppress(UnicodeError):
            if clean(old.encode(right).decode(wrong)) == new:
                return True
    return "?" in new and _is_with_marks(old, new)


def _is_with_marks(old: str, new: str) -> bool:
    """Say whether question marks, up to four for a letter, replaced letters that ASCII lacks.

    A regular expression would try all ways to share the marks among the letters. Here a number has a bit for each place
    of the new text. The bit is set if the letters of the old text can reach the place. All bits are moved at once.
    """
    at: dict[str, int] = {}
    for place, letter in enumerate(new):
        at[letter] = at.get(letter, 0) | 1 << place
    reached = 1
    for letter in old:
        moved = (reached & at.get(letter, 0)) << 1
        for _ in range(0 if letter.isascii() else 4):
            reached = (reached & at.get("?", 0)) << 1
            moved |= reached
        reached = moved
    return bool(reached >> len(new) & 1)


_NAMES: Final = ("title", "first_name", "last_name")
_NEVER_A_DAY: Final = (*_NAMES, "address_postcode", "membership_identifier")
_TEXT_THERE: Final = "format the column as text in the spreadsheet, and correct the cell"
_COMPUTE: Final = "Open the file in Excel, or in LibreOffice with Ctrl+Shift+F9, and save it"
_BROKEN: Final[tuple[tuple[Callable[[str, str], object], str], ...]] = (
    (
        lambda _, new: new == NOT_COMPUTED,
        f": no program has computed this formula. {_COMPUTE}",
    ),
    (lambda _, new: is_error(new), ", an error of a spreadsheet: correct or empty the cell"),
    (lambda _, new: _TEXT_FORMULA.fullmatch(new), ", a formula: keep the text alone"),
    (lambda _, new: "\ufffd" in new, ": a letter was lost in another encoding; correct it"),
    (
        lambda column, new: "\n" in new and not column.startswith("address_line"),
        ", with a line break: look for a quote too many",
    ),
    (
        lambda column, new: column in OFTEN_DIGITS and new.startswith("="),
        f", a formula: {_TEXT_THERE}",
    ),
    (
        lambda column, new: column in OFTEN_DIGITS and (_SCIENTIFIC.fullmatch(new) or _WITH_ZEROS.fullmatch(new)),
        f", as a spreadsheet writes numbers: {_TEXT_THERE}",
    ),
    (
        lambda column, new: column == "telephone" and _NEGATIVE.fullmatch(_as_number(new)),
        f": a spreadsheet computed it as a formula; {_TEXT_THERE}",
    ),
    (
        lambda column, new: column in _NEVER_A_DAY and _DAY_OR_TIME.fullmatch(new),
        f", a day or a time: {_TEXT_THERE}",
    ),
)
"""Checks of a column and a cell that no value can have, and the reason."""

_BROKEN_SINCE: Final[tuple[tuple[Callable[[str, str], object], str], ...]] = (
    (_lost_digits, f"a spreadsheet keeps 15 digits of a number: {_TEXT_THERE}"),
    (_computed, f"a spreadsheet took it for a formula: {_TEXT_THERE}"),
    (_taken_for_a_day, f"a spreadsheet took it for a day or a time: {_TEXT_THERE}"),
    (lambda old, new: len(new) > 250 and old.startswith(new), "a spreadsheet has cut it; write the whole text"),
    (is_misread, "it was read or saved in another encoding; correct the letters"),
)
"""Checks of a stored value and a cell for changes that a spreadsheet makes, and the reason."""


def breakage(column: str, old: str, new: str) -> str:
    """Return how a spreadsheet damaged a cell, so that it must not be written; empty if it did not.

    `old` is empty if nothing is stored.
    """
    for is_broken, what in _BROKEN:
        if is_broken(column, new):
            return f"{column} is {new!r}{what}"
    what = _broken_since(old, new)
    return f"{column} {old!r} became {new!r}: {what}" if what else ""


def _broken_since(old: str, new: str) -> str:
    return next((what for is_broken, what in _BROKEN_SINCE if old and is_broken(old, new)), "")


def without_separators(text: str) -> str:
    """Return a number or a code for comparison: without separators and capitals."""
    return "".join(filter(str.isalnum, text)).casefold()


def may_become(old: str, new: str) -> bool:
    """Say whether a person or a spreadsheet may have turned the code `old` into `new`."""
    if without_separators(old) == without_separators(new) != "":
        return True
    if old.isdecimal() and new.isdecimal() and len(new) < 16:  # these can only lose zeros
        return old.lstrip("0") == new.lstrip("0")
    return is_number_form(old, new) or bool(_broken_since(old, new))


def oddity(column: str, old: str, new: str) -> str:
    """Return what looks odd about a new value that may be right; empty if nothing does, or if the old one is as odd.

    `old` is empty if nothing is stored.
    """
    return next((what for is_odd, what in _ODD if is_odd(column, new) and not is_odd(column, old)), "")


def may_be_misread(text: str) -> bool:
    """Say whether a text looks as if its letters were read or saved in a wrong encoding. It may be right."""
    return bool(_MISREAD.search(text) or _MARK_AT_A_LETTER.search(text))


_SECOND_BYTES: Final = re.escape(bytes(range(0x80, 0xC0)).decode("cp1252", "ignore"))
# "é" is two bytes in UTF-8. Windows-1252 shows them as "Ã©", and Mac OS and DOS as "√©" and "├®".
_MISREAD: Final = re.compile(f"[ÂÃÄÅÎÏÐÑ][{_SECOND_BYTES}]|â€|[√├]\\S")
_MARK_AT_A_LETTER: Final = re.compile(r"[^\W\d_]\?|\?[^\W\d_]")
_MARK_IN_A_WORD: Final = re.compile(r"[^\W\d_]\?[^\W\d_]")
_HTML: Final = re.compile(r"&(?:[a-z]{2,8}[0-9]{0,2}|#[0-9]{1,6}|#x[0-9a-f]{1,5});", re.IGNORECASE)
_NOTHING: Final = ("nan", "NaN", "NaT", "None", "null", "NULL", "<NA>", "undefined")
_A_NUMBER: Final = "looks like a number that a spreadsheet made of a text"
_ODD: Final[tuple[tuple[Callable[[str, str], object], str], ...]] = (
    (lambda _, new: _HTML.search(new), "has letters as HTML writes them"),
    (
        lambda _, new: _MISREAD.search(new) or _MARK_IN_A_WORD.search(new),
        "looks as if it was read or saved in another encoding",
    ),
    (lambda _, new: new in _NOTHING, "looks like the word of a program for an empty cell"),
    (
        lambda column, new: column == "telephone" and re.fullmatch(r"[1-9][0-9]{8,13}", new),
        "looks as if its zero or plus were lost",
    ),
    (
        lambda column, new: column in OFTEN_DIGITS and re.fullmatch(r"[1-9][0-9]{14}0+", new),
        "looks as if a spreadsheet kept 15 digits of it",
    ),
    (lambda column, new: column == "telephone" and (_GROUPED.fullmatch(new) or _FRACTION.fullmatch(new)), _A_NUMBER),
    (lambda column, new: new == "0" or (column in _NAMES and new.isdecimal()), _A_NUMBER),
    (lambda _, new: _DAY_OR_TIME.fullmatch(new), "looks like a day that a spreadsheet made of a text"),
    (
        lambda column, new: (
            column not in OFTEN_DIGITS
            and any(form.fullmatch(new) for form in (_SERIAL_DAY, _FRACTION, _SCIENTIFIC, _WITH_ZEROS))
        ),
        _A_NUMBER,
    ),
    (
        lambda _, new: new in ("true", "false") or (new.isupper() and new.lower() in (*_TRUTHS[0], *_TRUTHS[1])),
        "looks like a yes or no that a spreadsheet made of a text",
    ),
)
"""Checks of a column and a value for odd values, and a text about each."""
