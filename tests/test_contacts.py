"""Which contacts two customers can share, and how they are compared."""

import pytest

from ticketsource_async import Address, Customer, contacts_of


def shared(**attributes: object) -> dict[str, list[str]]:
    """Return the contacts of a customer with these attributes, by the reason for which they are shared."""
    found: dict[str, list[str]] = {}
    for reason, contact in contacts_of(Customer("cst-1", **attributes)):  # type: ignore[arg-type]  # as given
        found.setdefault(reason, []).append(contact)
    return found


def telephones(telephone: str) -> list[str]:
    """Return the numbers in a field of telephones."""
    numbers = shared(last_name="Fox", telephone=telephone).get("telephone and surname", [])
    return [number.removesuffix(" fox") for number in numbers]


@pytest.mark.parametrize("email", ["@", "none", "n/a", "zoe@", "@example.com", "zoe@example", "zoe@example.", "a @ b"])
def test_a_text_that_is_no_email_is_ignored(email: str) -> None:
    """An e-mail has text before the @, and a dot after it."""
    assert shared(email=email) == {}


def test_capitals_make_no_difference_in_an_email() -> None:
    """Spaces around it make no difference either."""
    assert shared(email=" ZOE@Example.com ") == shared(email="zoe@example.com") == {"email": ["zoe@example.com"]}


@pytest.mark.parametrize("postcode", ["n/a", "NONE", "unknown", "XX", "-", ""])
def test_a_postcode_without_a_digit_is_ignored(postcode: str) -> None:
    """People write a placeholder if a form demands a postcode."""
    assert shared(first_name="Zoë", last_name="Fox", address=Address(postcode=postcode)) == {}


@pytest.mark.parametrize("first_name", [None, "", "-", ".", "?", "Unknown", "N/A", "n.a.", "12"])
def test_name_and_postcode_need_a_first_name(first_name: str | None) -> None:
    """Otherwise all of a family, and all Smiths of a street, would match."""
    assert shared(first_name=first_name, last_name="Smith", address=Address(postcode="LS1 1AA")) == {}


def test_a_first_name_may_be_an_initial() -> None:
    """Many records have only an initial."""
    there = Address(postcode="ls11aa")
    assert shared(first_name="Z.", last_name="O'Neill", address=there) == {"name and postcode": ["ls11aa z oneill"]}


@pytest.mark.parametrize(
    "surname",
    [
        *("Unknown", "UNKNOWN.", "(unknown)", "not known", "N/A", "n/a.", "N.A.", "n / a", "None", "No Name", "noname"),
        *("Null", "undefined", "Test", "test?", "TEST TEST", "Testing", "TBC", "tba", "Anonymous", "Anonymised"),
        *(
            "anon",
            "-",
            "--",
            ".",
            "?",
            "???",
            "*",
            "_",
            "0",
            "123",
            "x",
            "X.",
            "xxx",
            "XXXX",
            "aaaa",
            "",
            " ",
            "\u200b",
        ),
    ],
)
def test_a_placeholder_for_a_surname_is_ignored(surname: str) -> None:
    """Otherwise all people with the telephone of the venue would be one person."""
    there = Address(postcode="LS1 1AA")
    assert shared(first_name="Zoë", last_name=surname, telephone="01632 960001", address=there) == {}


@pytest.mark.parametrize(
    "surname",
    ["Nonesuch", "Na", "Nunn", "Ng", "O", "Li", "Testa", "Nuller", "Ó", "李", "Oo", "Guest", "van der Aa", "D'A"],
)
def test_a_short_surname_counts(surname: str) -> None:
    """Of surnames with one letter, only Latin letters except O are ignored: people write these as placeholders."""
    assert set(shared(last_name=surname, telephone="01632 960001")) == {"telephone and surname"}


@pytest.mark.parametrize(
    "telephone",
    [
        *("0123456789", "1234567890", "01234 567890", "+44 1234 567890", "9876543210", "09876 543210", "123456"),
        *("00000", "00000000000", "000000", "11111111111", "07777 777777", "+44 0000 000000", "07000 000000"),
        *("07123 456789", "0800 1234567", "020 7654 3210", "999999", "0", "-", "none", "12345", "n/a", "4.4E+11"),
    ],
)
def test_a_placeholder_for_a_telephone_is_ignored(telephone: str) -> None:
    """People type such digits if a form demands a number."""
    assert telephones(telephone) == []


@pytest.mark.parametrize(
    "telephone", ["01234 567812", "01234 567891", "07700 900000", "01632 123456", "0800 111 2222", "960123"]
)
def test_a_telephone_with_some_digits_in_a_row_counts(telephone: str) -> None:
    """Such a number may be real: 01234 is the code of Bedford."""
    assert telephones(telephone) == [telephone.replace(" ", "")]


@pytest.mark.parametrize(
    "telephone",
    [
        *("01632960123", "(01632) 960123", "+44 1632 960123", "+44 (0)1632 960123", "0044 (0) 1632 960123"),
        *("01632-960-123", "01632  960123", "01632 960 123", "[01632] 960123", "1632960123", "1632960123.0"),
        *("01632 960123 ext 4", "01632 960123 ext. 123456", "01632 960123x12", "01632 960123 x 12", "01632 960123 #7"),
        *(
            "01632 960123 Extn: 12",
            "01632 960123 extension 12",
            "01632 960123 (ext 12)",
            "Tel. 01632 960123",
            "(+44 1632) 960123",
        ),
        *("01632 960123 (home)", "(home) 01632 960123", "fax 01632 960123", "text: 01632 960123", "(+44 1632) 960123"),
        "\uff10\uff11\uff16\uff13\uff12 960123",  # as a Japanese keyboard writes digits
        *(
            "01632 960123 /",
            "01632 960123\n",
            "01632\u00a0960123",
            "01632 960123 ()",
            "+44 1632 96 012 3",
            "tel:+44-1632-960123",
        ),
    ],
)
def test_a_telephone_is_the_same_in_each_form(telephone: str) -> None:
    """An extension is neither a number nor a part of one."""
    assert telephones(telephone) == ["01632960123"]


@pytest.mark.parametrize(
    "between",
    [
        *(" / ", ", ", "; ", " & ", " | ", " or ", " and ", "\n", "\r\n", "\t", "  ", " ", " - ", " + ", " \\ "),
        *(" (home) ", " ext. 12 ", " x12 / ", " (mob.) ", " mobile: ", "\u00a0", "\n\n", " ext 12\n"),
    ],
)
@pytest.mark.parametrize("first", ["+44 (0)20 7946 0958", "020 7946 0958", "0044 (0)20 7946 0958", "(020) 7946-0958"])
def test_each_telephone_of_a_field_counts(first: str, between: str) -> None:
    """Any separator may be between them."""
    assert telephones(f"{first}{between}07700 900001") == ["02079460958", "07700900001"]
    assert telephones(f"07700 900001{between}{first}") == ["07700900001", "02079460958"]


def test_a_telephone_in_brackets_counts_as_another() -> None:
    """It must be long enough."""
    assert telephones("020 7946 0958 (07700 900001)") == ["02079460958", "07700900001"]
    assert telephones("(home 020 7946 0958) (mobile 07700 900001)") == ["02079460958", "07700900001"]
    assert telephones("020 7946 0958 07700 900001 01632 960 001") == ["02079460958", "07700900001", "01632960001"]


@pytest.mark.parametrize(
    "telephone", ["+49 30 1234 0678", "0049 30 12345 0678", "+1 212 555 0123", "+33 1 09 75 18 00"]
)
def test_a_foreign_telephone_is_not_split(telephone: str) -> None:
    """Its parts may begin with a zero, as numbers in Britain do."""
    assert telephones(telephone) == ["00" + telephone.replace(" ", "").removeprefix("+").removeprefix("00")]


def test_a_very_long_field_is_read() -> None:
    """A regular expression that backtracks would take for ever."""
    for text in ("(" * 100_000, "0 " * 100_000, "x" * 100_000, "x 1" * 50_000, "0.0" * 50_000, "1e" * 50_000):
        telephones(text)
    shared(last_name="x" * 100_000, telephone="01632 960001")
    for text in ("@." * 50_000, "a@" + "." * 100_000 + "@", "@" * 100_000):
        shared(email=text)
