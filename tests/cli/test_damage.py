"""The difference between damage by a spreadsheet and changes by a person."""

import pytest
from hypothesis import given, strategies as st

from ticketsource_async.cli.damage import breakage, clean, is_number_form, oddity


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("01632960001", "1632960001"),
        ("+441632960001", "441632960001"),
        ("+44 1632 960001", "441632960001.0"),
        ("+44 (0)1632 960001", "4401632960001"),
        ("07700 900001", "7700900001"),
        ("(0161) 1", "1611"),
        ("00441632960001", "441632960001"),
        ("441632 960001", "441632960001.0"),
        ("+441632960001", "4.4E+11"),
        ("+441632960001", "4.41633E+11"),
        ("+441632960001", "4,41632960001E+011"),
        ("+441632960001", "4.41632960001e11"),
        ("1234567890123456", "1.23457E+15"),
        ("01067", "1067"),
        ("0000", "0"),
        ("007", "7.00"),
        ("5", "5.0"),
        ("1.50", "1.5"),
        ("12E5", "1200000"),
        ("1E5", "1.00E+05"),
        ("1234", "1,234"),
        ("1234567", "1.234.567"),
        ("1234567", "1'234'567.00"),
        ("True", "TRUE"),
        ("50%", "0.5"),
        ("50%", "50.00%"),
        ("5%", "5,00%"),
        ("£5", "$5.00"),
        ("£5", "5"),
        ("5 €", "5,00 €"),
        ("£1,234.00", "1234"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1 1/2", "1.5"),
        ("01632960001", "1632 960 001"),
        ("01632960001", "1 632 960 001"),
        ("01632 960001", "1,632,960,001"),
        ("01632960001", "163,29,60,001"),
        ("-5", "\u22125"),
        ("-5", "(5)"),
        ("-1234", "(1,234)"),
        ("-5", "5-"),
        ("₹5", "₹5.00"),
        ("5 CHF", "5"),
        ("¥1,000", "1000"),
        ("True", "WAHR"),
        ("True", "VRAI"),
        ("true", "1"),
        ("False", "0"),
        ("Falsch", "FALSE"),
    ],
)
def test_the_number_form_of_a_text_is_not_a_change(old: str, new: str) -> None:
    """A spreadsheet read the text as a number, and wrote it in another form."""
    assert is_number_form(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1-2", "12"),
        ("0-1", "1"),
        ("5", "05"),
        ("441632960001", "+441632960001"),
        ("1632960001", "01632960001"),
        ("12,", "12"),
        ("£5", "6"),
        ("50%", "50"),
        ("1 1/0", "1"),
        ("01632 960001", "01632960001"),
        ("+441632960001", "441632960002"),
        ("+441632960001", "4.7E+11"),
        ("M 01", "1"),
        ("True", "0"),
        ("5 ABC", "5"),
        ("0", ""),
        ("Smith", "smith"),
        ("", "1"),
        ("٠١٦٣٢", "1632"),
    ],
)
def test_a_text_that_a_person_wrote_is_a_change(old: str, new: str) -> None:
    """A zero or a plus that is added again is a change, too."""
    assert not is_number_form(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1-2", "02-Jan"),
        ("1-2", "01-Feb-26"),
        ("1-2", "2026-02-01"),
        ("1/2", "01/02/2026"),
        ("1.2", "01.02.2026"),
        ("1-2", "46054"),
        ("10/11", "Nov-10"),
        ("3-51", "Mar-51"),
        ("MAR1", "01-Mar"),
        ("Sept 2", "02-Sep"),
        ("1:2", "01:02:00"),
        ("12 A", "12:00 AM"),
        ("1/2", "0.5"),
        ("+44-1632-960001", "-961589"),
        ("+44-1632-960001", "-961589.0"),
        ("+44+1632", "1676"),
        ("+44/1632", "0.0269607843137255"),
        ("+44*2-1", "87"),
        ("=1+2", "3"),
        ("(123)", "-123"),
        ("1234567890123456", "1234567890123450"),
        ("12345678901234567", "12345678901234600"),
        ("12345678901234567", "12345678901234568"),
        ("12345678901234567890", "12345678901234599936"),
        ("1.1.", "01/01/26"),
        ("1-2", "02-janv"),
        ("1-2", "2 janvier 2026"),
        ("12.10", "12-Okt"),
        ("10.12", "10. Dez"),
        ("1-2", "1月2日"),
        ("1-2", "2026年1月2日"),
        ("1-2", "Jan 2"),
        ("1-2", "January 2, 2026"),
        ("1-2", "Fri, 2 Jan 2026"),
        ("1-2", "2 de enero de 2026"),
        ("1-2", "2. 1. 2026"),
        ("1-2", "2026. 01. 02."),
        ("1-2", "46,054"),
        ("1-2", "46 054"),
        ("1-2", "46054.0"),
        ("3/4", "04/03"),
        ("3/4", "03-04"),
        ("1:30", "0.0625"),
        ("1:30", "0,0625"),
        ("1:30", "1:30 a. m."),
        ("MAR1", "01-Mär"),
        ("+44-1632-960001", "(961589)"),
        ("+44-1632-960001", "\u2212961589"),
        ("+44-1632-960001", "-961,589"),
        ("+44-1632-960001", "961589-"),
        ("24:00", "24:00:00"),
        ("Zoë", "ZoÃ«"),
        ("Zoë", "Zo?"),
        ("Zoë", "Zo\ufffd"),
        ("Zoë", "Zo\u221a\u00b4"),
        ("Łukasz Zając", "?ukasz Zaj?c"),
        ("Łukasz Ó", "?ukasz Ó"),
        ("Достоевскогорская 2", f"{'?' * 34} 2"),
        ("Достоевскогорская", "?" * 17),
        ("👩 Ó", "???? ??"),
        ("Siân", "Si‰n"),
        ("x" * 300, "x" * 255),
    ],
)
def test_damage_by_a_spreadsheet_is_reported_with_both_texts(old: str, new: str) -> None:
    """The user sees the old and the new text."""
    said = breakage("address_line_1", old, new)

    assert repr(new) in said
    assert repr(old) in said or "\ufffd" in new


@pytest.mark.parametrize(
    "new",
    [
        "#N/A",
        "#NV",
        "#N/D",
        "#\u041d/\u0414",
        "#¿NOMBRE?",
        "#¡VALOR!",
        "#ПУСТО!",
        "#GETTING_DATA",
        "#NAME?",
        "#WERT!",
        "#DIV/0!",
        "#REF!",
        "#SPILL!",
        "Err:502",
        "##",
        "#######",
        '="01632"',
        "a\ufffd",
        "#NOT COMPUTED!",
    ],
)
@pytest.mark.parametrize("old", ["", "Zoë"])
def test_a_text_that_is_never_a_value_is_refused_for_every_customer(old: str, new: str) -> None:
    """It is refused for new customers, too."""
    assert "last_name is" in breakage("last_name", old, new)


@pytest.mark.parametrize("column", ["last_name", "telephone", "title", "address_postcode", "membership_identifier"])
def test_a_line_break_is_accepted_only_in_an_address(column: str) -> None:
    """Elsewhere, a quote too many has joined several rows in one cell."""
    assert "with a line break" in breakage(column, "Old", "New\nb")
    assert breakage("address_line_1", "Old", "New\nb") == ""


@pytest.mark.parametrize(
    "new", ["02-Jan", "2-Jan-26", "Jan-26", "2026-01-02", "02/01/2026", "2026-01-02 00:00:00", "12:30"]
)
@pytest.mark.parametrize("old", ["", "CF9 3BU"])
def test_a_day_is_refused_in_columns_that_never_have_one(old: str, new: str) -> None:
    """Excel makes a day of a postcode such as 2-JAN, and of a name such as May 1."""
    for column in ("address_postcode", "title", "first_name", "last_name", "membership_identifier"):
        assert "a day or a time" in breakage(column, old, new)
    assert breakage("address_line_1", "Old", new) == ""


@pytest.mark.parametrize("postcode", ["46054", "00-950", "1000-205", "100-0001", "AB12 3CD", "MA1 2RC", "D02 AF30"])
def test_a_postcode_of_any_country_is_not_a_day(postcode: str) -> None:
    """None of them is refused."""
    assert breakage("address_postcode", "CF9 3BU", postcode) == ""


@pytest.mark.parametrize(
    ("column", "new"),
    [
        ("telephone", "-961589"),
        ("telephone", "(961589)"),
        ("telephone", "\u2212961589"),
        ("telephone", "-961 589"),
        ("telephone", "=01632960001"),
        ("telephone", '=T("01632960001")'),
        ("membership_identifier", "=5"),
        ("telephone", "4.47701E+11"),
        ("telephone", "4,47701E+011"),
        ("telephone", "447700900001.0"),
        ("membership_identifier", "1.2E+15"),
        ("address_postcode", "1067.0"),
    ],
)
def test_a_damaged_number_is_refused_for_new_customers(column: str, new: str) -> None:
    """The original digits cannot be known."""
    assert f"{column} is {new!r}" in breakage(column, "", new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1-2", "3-4"),
        ("1-2", "12 May Road"),
        ("1-2", "Flat 3"),
        ("1-2", "1A"),
        ("3/4", "3/5"),
        ("1-2", "2 High Street"),
        ("", "#5!"),
        ("12", "2/3"),
        ("Zoë", "Zoe"),
        ("ZoÃ«", "Zoë"),
        ("Zo?", "Zoë"),
        ("Why", "Why?"),
        ("Достоевскогорская", f"{'?' * 34} 2"),
        ("Достоевскогорская" * 15, f"{'?' * 900} 2"),
        ("Zoë", "Zo?????"),
        ("Zoë", "Z??"),
        ("éa" * 200, "?" * 1200),
        ("Smith", "May"),
        ("", "#3"),
        ("", "="),
        ("", "=New"),
        ("A", "#"),
        ("01632 960001", "01632 960002"),
        ("+44-1632-960001", "+44-1632-960002"),
        ("1234567890123456", "1234567890123457"),
        ("5", "-"),
        ("Anne", "-Marie"),
    ],
)
def test_a_change_by_a_person_is_not_damage(old: str, new: str) -> None:
    """A spreadsheet would not write such a text."""
    assert breakage("last_name", old, new) == ""
    assert not is_number_form(old, new)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("person3@example.com\u200b", "person3@example.com"),
        ("\ufeffZo\u00adë\u200e", "Zoë"),
        ("\u00a0Zoë \u202f", "Zoë"),
        ("a\u00a0b", "a\u00a0b"),
        ("jose\u0301", "josé"),
        ("1 High Street,\r\nFlat 2\rx", "1 High Street,\nFlat 2\nx"),
        ("Zo\u200dë\u200c", "Zoë"),
        ("\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"),
        ("👩\u200d🎤", "👩\u200d🎤"),
        (" ", ""),
        *((f"Zo{odd}ë{odd}", "Zoë") for odd in "\ufe0f\u3164\x7f\U000e0041\u115f\u1160\uffa0\u180b\ufff9"),
        *((f"{odd}Zoë", "Zoë") for odd in "\x00\x01\x08\x0e\x1a\x1b\x1f\x80\x9f\ufffb\ufe00\u2060\U000e0100"),
        ("Zo\ufe0f\u200d\ufe0fe\u3164\ufe0f", "Zoe"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\vb\fc\x85d\u2028e\u2029", "a\nb\nc\nd\ne"),
        ("\u2764\ufe0f\u200d\U0001f525", "\u2764\ufe0f\u200d\U0001f525"),
        ("\u845b\U000e0100", "\u845b\U000e0100"),
    ],
)
def test_a_text_is_cleaned_of_invisible_characters(text: str, cleaned: str) -> None:
    """Joiners that belong to letters remain."""
    assert clean(text) == cleaned


@pytest.mark.parametrize("new", ["5" + " " * 130_000 + "x", "(1" + " " * 130_000, "1 " * 60_000, "1" + "de " * 40_000])
def test_a_very_long_text_is_not_damage(new: str) -> None:
    """It has the length of the largest cell. A regular expression with backtracking would take minutes."""
    assert breakage("address_line_1", "1-2", new) == ""
    assert not is_number_form("1-2", new)
    assert oddity("telephone", "", new) == ""


@given(st.text(), st.text())
def test_any_text_can_be_cleaned_and_checked_for_damage(old: str, new: str) -> None:
    """To clean a text twice has no further effect."""
    cleaned = clean(old)
    assert clean(cleaned) == cleaned
    is_number_form(cleaned, clean(new))
    breakage("telephone", cleaned, clean(new))


@given(
    st.from_regex(r"[+-]?[0-9(][0-9 ()./*+-]{0,12}", fullmatch=True),
    st.from_regex(r"-?[0-9]{0,18}([.,][0-9]{1,3})?(E\+?[0-9]{1,3})?", fullmatch=True),
)
def test_any_number_can_be_checked_for_damage(old: str, new: str) -> None:
    """Divisions by zero and huge exponents raise no exception."""
    assert is_number_form(old, new) in (True, False)
    assert isinstance(breakage("telephone", old, new), str)


@pytest.mark.parametrize(
    ("column", "new", "odd"),
    [
        ("telephone", "1632960001", "looks as if its zero or plus were lost"),
        ("telephone", "447700900001", "looks as if its zero or plus were lost"),
        ("telephone", "01632960001", ""),
        ("telephone", "+441632960001", ""),
        ("telephone", "999", ""),
        ("membership_identifier", "1632960001", ""),
        ("address_line_1", "02-Jan", "looks like a day that a spreadsheet made of a text"),
        ("address_line_1", "1 May Road", ""),
        ("address_line_1", "2026-02-01", "looks like a day that a spreadsheet made of a text"),
        ("address_line_1", "46054", "looks like a number that a spreadsheet made of a text"),
        ("address_line_1", "0.75", "looks like a number that a spreadsheet made of a text"),
        ("address_postcode", "46054", ""),
        ("telephone", "1,632,960,001", "looks like a number that a spreadsheet made of a text"),
        ("telephone", "1234567890123450", "looks as if a spreadsheet kept 15 digits of it"),
        ("last_name", "Zo&euml; &amp; Karl", "has letters as HTML writes them"),
        ("last_name", "O&#39;Brien", "has letters as HTML writes them"),
        ("address_line_1", "A & B; C", ""),
        ("address_line_1", "1.23E+11", "looks like a number that a spreadsheet made of a text"),
        ("last_name", "1E400", "looks like a number that a spreadsheet made of a text"),
        ("address_line_1", "12.0", "looks like a number that a spreadsheet made of a text"),
        ("address_line_1", "12", ""),
        ("address_line_1", "0", "looks like a number that a spreadsheet made of a text"),
        ("last_name", "12", "looks like a number that a spreadsheet made of a text"),
        ("last_name", "TRUE", "looks like a yes or no that a spreadsheet made of a text"),
        ("last_name", "WAHR", "looks like a yes or no that a spreadsheet made of a text"),
        ("last_name", "True", ""),
        ("last_name", "nan", "looks like the word of a program for an empty cell"),
        ("last_name", "Null", ""),
        ("last_name", "ZoÃ«", "looks as if it was read or saved in another encoding"),
        ("last_name", "O\u00e2\u20ac\u2122Brien", "looks as if it was read or saved in another encoding"),
        ("last_name", "Zo\u221a\u00b4", "looks as if it was read or saved in another encoding"),
        ("last_name", "Zo├½", "looks as if it was read or saved in another encoding"),
        ("last_name", "Fran?ois", "looks as if it was read or saved in another encoding"),
        ("last_name", "Why?", ""),
        ("last_name", "Zoë Ängström-Ñandú", ""),
    ],
)
def test_an_odd_text_is_reported(column: str, new: str, odd: str) -> None:
    """The text may be correct, so it is accepted. The same holds if another text is stored."""
    assert oddity(column, "", new) == odd
    assert oddity(column, "Old", new) == odd


@pytest.mark.parametrize(
    ("column", "old", "new"),
    [
        ("address_line_1", "3-Mar", "02-Jan"),
        ("last_name", "ZoÃ«", "ZoÃ©"),
        ("last_name", "A &amp; B", "A &amp; C"),
        ("telephone", "1632960001", "1632960002"),
        ("address_line_1", "46054", "46055"),
    ],
)
def test_a_text_as_odd_as_the_stored_one_is_not_reported(column: str, old: str, new: str) -> None:
    """The file has not made it odd."""
    assert oddity(column, old, new) == ""
