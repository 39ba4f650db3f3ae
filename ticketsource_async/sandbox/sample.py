"""Invented people: each is computed from a seed and an index, and none is stored.

Telephone numbers are from the ranges reserved for drama, e-mail addresses from the domains reserved for examples.
"""

import random
import string
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

_ALPHABET: Final = string.digits + string.ascii_letters
_LENGTH: Final = 16
_NUMBER_OF_IDS: Final = len(_ALPHABET) ** _LENGTH
_FACTOR: Final = 29_510_377_265_910_351_927_443_361  # any large odd number that is no multiple of 31
_INVERSE: Final = pow(_FACTOR, -1, _NUMBER_OF_IDS)

_FIRST_NAMES: Final = (
    "Alice Amelia Angharad Arjun Arthur Beth Bronwen Callum Catherine Chidi Chloë Daisy David Dafydd "
    "Eilidh Elin Emily Euan Farah Fiona Florence Freya George Grace Hamish Harriet Harry Imogen Isla Jack "
    "Jamal Jean-Paul Jessica Joan Kavita Kieran Leila Llinos Łukasz Maeve Margaret Mary-Ann Mohammed "
    "Niamh Noor Oliver Olivia Owain Patrick Poppy Priya Ravi Renée Rhys Róisín Rosie Ruth Seán Siân "
    "Siobhán Sophie Thomas Usha Wendy Yusuf Zoë"
).split()
_LAST_NAMES: Final = (
    "Adeyemi Ahmed Anderson Bevan Brown Campbell Chaudhry Clarke Cohen Davies D'Souza Edwards Evans "
    "Fernández Fitzgerald Gallagher García Green Griffiths Harris Hughes Iqbal Jackson Jenkins Jones Kaur "
    "Kelly Khan Kowalczyk Lewis MacDonald Mbeki McAllister Morgan Müller Murphy Nguyen O'Brien O'Connor "
    "O'Neill Okafor Owen Parry-Jones Patel Phillips Price Pugh Rees Roberts Robinson Rosenberg "
    "Saint-Clair Scott Shah Singh Smith Stewart Taylor Thomas Walker Watson White Williams Wilson Wood "
    "Wright Young Zając"
).split()
_STREETS: Final = (
    "Albert Terrace|Bridge Street|Cae Glas|Castle Road|Chapel Lane|Church Walk|Dock Road|Elm Grove|Gwaun-y-Nant|"
    "Harbour View|High Street|King's Parade|Mill Lane|Orchard Close|Park Avenue|Queen's Crescent|Station Approach|"
    "The Green|Tŷ Newydd|Victoria Road|Wharf Side"
).split("|")
_TOWNS: Final = (
    "Aberaeron|Ashcombe|Bàgh Mòr|Brackley Vale|Caerwen|Dunmoor|Eastmarsh|Glenrothay|Kirkholme|Llanfair-y-Bryn|"
    "Newhaven Sands|Otterbourne|Port Eilean|Ridgeway|Saint Brannock|Thornbury Moor|Westcliffe"
).split("|")
_AREAS: Final = ("AB", "BS", "CF", "EH", "G", "LS", "M", "NE", "PL", "SA", "TD", "YO")
_FORMULA_LIKE_NAMES: Final = ("=SUM(A1:A9)", "@Work")  # spreadsheets take these for formulas
_DOMAINS: Final = ("example.com", "example.org", "example.net")
_FIRST_DAY: Final = datetime(2016, 1, 4, 9, 0, tzinfo=UTC)


@lru_cache(maxsize=16)
def _offset(seed: int) -> int:
    return random.Random(seed).randrange(_NUMBER_OF_IDS)


def name_of(seed: int, index: int) -> str:
    """Return the sixteen letters and digits of an id. Each index of a seed has another one."""
    number = (index * _FACTOR + _offset(seed)) % _NUMBER_OF_IDS
    letters = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    return "".join(letters)


def index_of(seed: int, name: str) -> int | None:
    """Return the index with this `name_of`, or a huge number if there is none; None if it cannot be a name."""
    if len(name) != _LENGTH or not set(name) <= set(_ALPHABET):
        return None
    number = 0
    for letter in reversed(name):
        number = number * len(_ALPHABET) + _ALPHABET.index(letter)
    return (number - _offset(seed)) * _INVERSE % _NUMBER_OF_IDS


def attributes_of(seed: int, index: int) -> dict[str, object]:
    """Return the attributes of a sample customer, in the order of the API's guide."""
    rng = random.Random(f"{seed}/{index}")
    first, last = rng.choice(_FIRST_NAMES), rng.choice(_LAST_NAMES)
    created = _created(seed, index)
    changed = created + timedelta(days=rng.randrange(1, 200), seconds=rng.randrange(86_400))
    return {
        "title": None,
        "first_name": _vary(rng, first, null=0.02, empty=0.01, long=0.005),
        "last_name": rng.choice(_FORMULA_LIKE_NAMES)
        if rng.random() < 0.004
        else _vary(rng, last, null=0.01, empty=0.0, long=0.005),
        "address": None if rng.random() < 0.06 else _address(rng),
        "telephone": _vary(rng, _telephone(rng), null=0.25, empty=0.02, long=0.0),
        "email": None if rng.random() < 0.08 else _email(rng, first, last, index),
        "membership": None if rng.random() < 0.05 else _membership(rng, created),
        "consent": {"email": rng.random() < 0.55, "post": rng.random() < 0.3, "sms": rng.random() < 0.2},
        "created_at": created.isoformat(),
        "updated_at": changed.isoformat() if rng.random() < 0.2 else None,
    }


def notes_of(seed: int, index: int) -> list[dict[str, object]]:
    """Return the attributes of a sample customer's notes. Most customers have none."""
    rng = random.Random(f"{seed}/{index}/notes")
    texts = ("Needs leg room", "Prefers the aisle", "Wheelchair space, please", "@Box office: call before posting")
    written = (_created(seed, index) + timedelta(days=3)).isoformat()
    return [
        {"description": rng.choice(texts), "created_by": "Staff Member", "created_at": written, "updated_at": None}
        for _ in range(rng.choices((0, 1, 2), (90, 8, 2))[0])
    ]


def _created(seed: int, index: int) -> datetime:
    rng = random.Random(f"{seed}/{index}/created")
    return _FIRST_DAY + timedelta(days=rng.randrange(3_300), seconds=rng.randrange(86_400))


def _vary(rng: random.Random, text: str, *, null: float, empty: float, long: float) -> str | None:
    dice = rng.random()
    if dice < null:
        return None
    if dice < null + empty:
        return ""
    return f"{text} " + "van der Somewhere-or-Other " * 9 if dice < null + empty + long else text


def _address(rng: random.Random) -> dict[str, object]:
    house = f"{rng.randrange(1, 200)} {rng.choice(_STREETS)}"
    if rng.random() < 0.03:
        house = f'Flat {rng.randrange(1, 9)}, "The Maltings"\n{house}'
    digits = f"{rng.randrange(1, 20)} {rng.randrange(1, 10)}{rng.choice('ABDEFGHJLN')}{rng.choice('PQRSTUWXYZ')}"
    return {
        "line_1": None if rng.random() < 0.02 else house,
        "line_2": None if rng.random() < 0.6 else rng.choice(_STREETS),
        "line_3": None if rng.random() < 0.02 else rng.choice(_TOWNS),
        "line_4": None if rng.random() < 0.5 else "United Kingdom",
        "postcode": None if rng.random() < 0.03 else rng.choice(_AREAS) + digits,
    }


def _telephone(rng: random.Random) -> str:
    last = f"{rng.randrange(1000):03}"
    return rng.choice(
        (f"01632 960{last}", f"01632960{last}", f"07700 900{last}", f"+447700900{last}", f"+44 (0)20 7946 0{last}")
    )


def _email(rng: random.Random, first: str, last: str, index: int) -> str:
    plain = "".join(letter for letter in f"{first}.{last}".lower() if letter in string.ascii_lowercase + ".-")
    return f"{plain}.{index}@{rng.choice(_DOMAINS)}"


def _membership(rng: random.Random, created: datetime) -> dict[str, object]:
    if rng.random() < 0.8:
        return {"identifier": None, "start_date": None, "end_date": None}
    start = date(created.year, rng.randrange(1, 13), 1)
    ended = None if rng.random() < 0.3 else start.replace(year=start.year + 1).isoformat()
    return {"identifier": f"FRIEND{rng.randrange(100_000):05}", "start_date": start.isoformat(), "end_date": ended}
