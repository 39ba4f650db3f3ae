"""The sample people."""

import re
from typing import Any

import pytest

from ticketsource_async.sandbox import sample

PEOPLE: list[dict[str, Any]] = [sample.attributes_of(0, index) for index in range(5000)]


def texts(value: Any) -> list[str]:
    """Return every text in a nest of dicts."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in texts(inner)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("seed", [0, 1, -5, 10**12])
def test_ids_are_unique_and_lead_back_to_their_index(seed: int) -> None:
    """`index_of` returns the index of an id."""
    names = [sample.name_of(seed, index) for index in range(2000)]

    assert [sample.index_of(seed, name) for name in names] == list(range(2000))
    assert len(set(names)) == 2000
    assert all(re.fullmatch("[A-Za-z0-9]{16}", name) for name in names)


@pytest.mark.parametrize("name", ["", "short", "x" * 17, "äbcdefghijklmnop", "abc-efghijklmnop"])
def test_an_invalid_id_has_no_index(name: str) -> None:
    """A text of a wrong length, or with wrong letters, is no id."""
    assert sample.index_of(0, name) is None


def test_the_same_seed_and_index_give_the_same_person() -> None:
    """Another seed gives another person."""
    assert sample.attributes_of(3, 77) == sample.attributes_of(3, 77)
    assert sample.attributes_of(3, 77) != sample.attributes_of(4, 77)
    assert sample.name_of(3, 77) != sample.name_of(4, 77)
    assert sample.notes_of(3, 77) == sample.notes_of(3, 77)


def test_the_sample_people_have_awkward_values() -> None:
    """There are accents, apostrophes, nulls, empty and long values, line breaks, commas and formulas among them."""
    everything = [text for person in PEOPLE for text in texts(person)]

    assert any("ë" in text for text in everything)
    assert any("O'" in text for text in everything)
    assert any(text == "" for text in everything)
    assert any(len(text) > 150 for text in everything)
    assert any("\n" in text and '"' in text and "," in text for text in everything)
    assert any(text.startswith("=") for text in everything)
    for name in ("first_name", "last_name", "address", "telephone", "email", "membership", "updated_at"):
        assert any(person[name] is None for person in PEOPLE)
        assert any(person[name] for person in PEOPLE)
    for way in ("email", "post", "sms"):
        assert {person["consent"][way] for person in PEOPLE} == {True, False}


def test_sample_emails_and_telephones_reach_no_real_person() -> None:
    """The domains are reserved for examples, and the numbers for drama."""
    for person in PEOPLE:
        assert re.fullmatch(r"[a-z.-]+\.\d+@example\.(com|org|net)", person["email"] or "a.1@example.com")
        digits = re.sub(r"\D", "", person["telephone"] or "").removeprefix("44").removeprefix("0")
        assert re.fullmatch(r"(1632960\d{3}|7700900\d{3}|2079460\d{3})?", digits)


def test_times_have_an_offset_and_memberships_have_days() -> None:
    """Times end in +00:00, memberships begin and end on days."""
    for person in PEOPLE:
        assert person["created_at"].endswith("+00:00")
        membership = person["membership"] or {"start_date": None, "end_date": None}
        for day in (membership["start_date"], membership["end_date"]):
            assert day is None or re.fullmatch(r"\d{4}-\d\d-\d\d", day)


def test_some_sample_people_have_notes() -> None:
    """Most people have no note, some have one or two."""
    counts = [len(sample.notes_of(0, index)) for index in range(500)]

    assert set(counts) == {0, 1, 2}
    assert counts.count(0) > 400


def test_every_nullable_field_is_sometimes_null() -> None:
    """Each of these fields has a value in other records."""
    people: list[dict[str, Any]] = [sample.attributes_of(0, index) for index in range(3_000)]
    for name in ("first_name", "last_name", "address", "telephone", "email", "membership", "updated_at"):
        assert {person[name] is None for person in people} == {True, False}
    for part, names in (
        ("address", ("line_1", "line_2", "line_3", "line_4", "postcode")),
        ("membership", ("identifier", "start_date", "end_date")),
    ):
        for name in names:
            assert {person[part][name] is None for person in people if person[part]} == {True, False}


def test_some_surnames_start_like_formulas_and_customers_have_several_years() -> None:
    """Surnames may begin with = or @. The first thousand customers were created in more than five years."""
    people: list[dict[str, Any]] = [sample.attributes_of(0, index) for index in range(3_000)]

    assert {"=", "@"} <= {person["last_name"][:1] for person in people if person["last_name"]}
    assert len({person["created_at"][:4] for person in people[:1_000]}) > 5
