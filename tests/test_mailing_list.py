"""The example for a mailing list, run against a server that has one. It never subscribes a person who said no."""

import asyncio
import importlib
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from crm import CRM, Example, people
from mailing import KEY, MailingService, hash_of

from ticketsource_async import CustomerStore, TicketSource, comparable_email
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.testing import no_waiting

Run = Callable[[], Awaitable[None]]


def consents_by_email(box: Sandbox) -> dict[str, bool]:
    """Return for each e-mail whether all its customers agree."""
    found: dict[str, bool] = {}
    for customer in people(box).values():
        if customer.email:
            email = comparable_email(customer.email)
            says_yes = customer.consent is not None and customer.consent.email is True
            found[email] = found.get(email, True) and says_yes
    return found


def email_agrees(box: Sandbox, email: str) -> bool:
    """Return whether all customers with an e-mail agree."""
    return consents_by_email(box).get(comparable_email(email), False)


def emails_to_subscribe(box: Sandbox) -> set[str]:
    """Return the e-mails that should be subscribed."""
    return {email for email, agreed in consents_by_email(box).items() if agreed}


@pytest.fixture(name="service")
async def _service(box: Sandbox) -> AsyncIterator[MailingService]:
    async with MailingService(lambda email: email_agrees(box, email)) as service:
        yield service


@pytest.fixture(name="program")
def _program(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(CRM))
    yield importlib.import_module("with_mailing_list")
    for name in ("with_mailing_list", "in_step"):
        sys.modules.pop(name, None)


@pytest.fixture(name="run")
def _run(program: Any, box: Sandbox, service: MailingService, tmp_path: Path) -> Run:
    """Return a function that runs the program once in this process."""

    async def run() -> None:
        with no_waiting():
            async with (
                TicketSource(box.api_key, base_url=box.url) as ts,
                CustomerStore(tmp_path / "customers.db") as store,
                aiohttp.ClientSession() as http,
            ):
                await program.keep_in_step(ts, store, program.MailingList(http, service.url, KEY))

    return run


def add_person(box: Sandbox, email: str | None = "ann@example.com", consent: object = True) -> str:
    """Add a customer and return the id."""
    (customer_id,) = box.customers.insert(1)
    box.customers.update(customer_id, {"email": email, "consent": {"email": consent, "post": False, "sms": False}})
    return customer_id


def set_consent(box: Sandbox, customer_id: str, consent: object) -> None:
    """Let a customer agree to e-mails, or not."""
    box.customers.update(customer_id, {"consent": {"email": consent, "post": False, "sms": False}})


async def test_all_customers_who_agree_are_subscribed_and_a_second_run_writes_nothing(
    run: Run, box: Sandbox, service: MailingService
) -> None:
    """The service gets no other person."""
    await run()
    written = len(service.written)
    await run()

    assert service.subscribed == emails_to_subscribe(box)
    assert len(service.members) == len(emails_to_subscribe(box)) == len(service.written) == written
    assert 0 < written < 25


async def test_a_shared_email_is_subscribed_only_if_all_its_customers_agree(
    run: Run, box: Sandbox, service: MailingService
) -> None:
    """Neither capitals nor the order of the customers make a difference."""
    first = add_person(box, "Ann@Example.com")
    second = add_person(box, "ann@example.COM", consent=False)
    add_person(box, "bob@example.com", consent=False)
    add_person(box, "BOB@example.com")
    await run()
    before = service.status("ann@example.com"), service.status("bob@example.com")
    set_consent(box, second, True)
    await run()
    after = service.status("ann@example.com")
    box.customers.merge(second, first)
    set_consent(box, second, False)
    await run()

    assert before == (None, None)
    assert after == "subscribed"
    assert service.status("ann@example.com") == "unsubscribed"
    assert service.wrong == []


WITHDRAWN: dict[str, Callable[[Sandbox, str], None]] = {
    "a no": lambda box, who: set_consent(box, who, False),
    "no consents": lambda box, who: box.customers.overwrite(who, {"consent": None}),
    "an empty list of consents": lambda box, who: box.customers.overwrite(who, {"consent": []}),
    "no answer": lambda box, who: box.customers.overwrite(who, {"consent": {"email": None}}),
    "a text": lambda box, who: box.customers.overwrite(who, {"consent": {"email": "true"}}),
    "a number": lambda box, who: box.customers.overwrite(who, {"consent": {"email": 1}}),
    "other consents": lambda box, who: box.customers.overwrite(who, {"consent": {"post": True, "sms": True}}),
    "no email": lambda box, who: box.customers.overwrite(who, {"email": None}),
    "an empty email": lambda box, who: box.customers.overwrite(who, {"email": ""}),
    "an email that is none": lambda box, who: box.customers.overwrite(who, {"email": ["ann@example.com"]}),
    "a purge": lambda box, who: box.customers.purge(who),
    "a purge that leaves texts": lambda box, who: box.customers.purge(who, form="empty"),
    "a purge that leaves nothing": lambda box, who: box.customers.purge(who, form="gone"),
    "a deletion": lambda box, who: box.customers.delete([who]),
}


@pytest.mark.parametrize("change", WITHDRAWN)
async def test_a_customer_who_no_longer_agrees_is_unsubscribed(
    run: Run, box: Sandbox, service: MailingService, change: str
) -> None:
    """The name is removed, too."""
    who = add_person(box)
    await run()
    before = service.status("ann@example.com")
    WITHDRAWN[change](box, who)
    await run()

    assert before == "subscribed"
    assert service.status("ann@example.com") == "unsubscribed"
    fields = service.members[hash_of("ann@example.com")]["merge_fields"]
    assert fields == {"TICKETSOURCE": "no", "FNAME": "", "LNAME": ""}


async def test_a_customer_is_subscribed_again_when_the_consent_is_readable_again(
    run: Run, box: Sandbox, service: MailingService
) -> None:
    """The program itself had unsubscribed them."""
    who = add_person(box)
    await run()
    box.customers.overwrite(who, {"consent": {"email": "yes"}})
    await run()
    between = service.status("ann@example.com")
    set_consent(box, who, True)
    await run()

    assert (between, service.status("ann@example.com")) == ("unsubscribed", "subscribed")


async def test_the_old_email_is_unsubscribed_before_the_new_one_is_subscribed(
    run: Run, box: Sandbox, service: MailingService
) -> None:
    """Other withdrawals come before that, too. Another spelling in capitals is the same e-mail."""
    who, other, capitals = (add_person(box, f"{name}@example.com") for name in ("ann", "bob", "cleo"))
    await run()
    service.written.clear()
    box.customers.update(who, {"email": "ann.new@example.com"})
    set_consent(box, other, False)
    box.customers.update(capitals, {"email": "Cleo@Example.com"})
    await run()

    statuses = [status for _, status in service.written]
    assert statuses == ["unsubscribed", "unsubscribed", "subscribed"]
    assert service.written[-1][0] == "ann.new@example.com"
    assert service.status("cleo@example.com") == "subscribed"


@pytest.mark.parametrize("odd", [False, True])
async def test_a_person_who_unsubscribed_by_a_link_stays_unsubscribed(
    run: Run, box: Sandbox, service: MailingService, odd: bool
) -> None:
    """Another name, a second customer with the e-mail, or an unreadable consent for a day do not change that."""
    who = add_person(box)
    await run()
    service.by_hand("ann@example.com", "unsubscribed")
    await run()
    box.customers.update(who, {"last_name": "Renamed"})
    if odd:
        box.customers.overwrite(who, {"consent": {"email": "true"}})
        await run()
        set_consent(box, who, True)
    second = add_person(box, "ANN@example.com")
    await run()
    box.customers.merge(second, who)
    await run()

    assert service.status("ann@example.com") == "unsubscribed"


async def test_a_person_who_said_no_and_then_yes_is_subscribed_again(
    run: Run, box: Sandbox, service: MailingService
) -> None:
    """One run must see the no, and a later run the yes. Otherwise it is unknown when the yes was given."""
    who = add_person(box)
    await run()
    service.by_hand("ann@example.com", "unsubscribed")
    set_consent(box, who, False)
    set_consent(box, who, True)  # between two runs, so nobody sees it
    await run()
    unseen = service.status("ann@example.com")
    set_consent(box, who, False)
    await run()
    set_consent(box, who, True)
    await run()

    assert unseen == "unsubscribed"
    assert service.status("ann@example.com") == "subscribed"


async def test_members_who_used_the_form_stay_unless_they_said_no(
    run: Run, box: Sandbox, service: MailingService
) -> None:
    """A person who is no customer stays. A person who had left by a link is not subscribed."""
    who = add_person(box, consent=False)
    for email in ("ann@example.com", "stranger@example.com"):
        service.by_hand(email, "subscribed")
    service.by_hand("bob@example.com", "unsubscribed")
    add_person(box, "bob@example.com")
    await run()
    before = {name: service.status(f"{name}@example.com") for name in ("ann", "stranger", "bob")}
    set_consent(box, who, True)
    await run()
    service.by_hand("ann@example.com", "unsubscribed")
    await run()

    assert before == {"ann": "unsubscribed", "stranger": "subscribed", "bob": "unsubscribed"}
    assert service.status("ann@example.com") == "unsubscribed"
    assert service.wrong == []


async def test_a_person_who_rejoined_by_the_form_and_left_by_a_link_stays_unsubscribed(
    run: Run, box: Sandbox, service: MailingService
) -> None:
    """First the program had unsubscribed this person. The last decision was their own."""
    who = add_person(box)
    await run()
    set_consent(box, who, False)
    await run()
    service.by_hand("ann@example.com", "subscribed")
    set_consent(box, who, True)
    await run()
    service.by_hand("ann@example.com", "unsubscribed")
    await run()

    assert service.status("ann@example.com") == "unsubscribed"


async def test_a_refused_member_is_reported_and_the_others_are_subscribed(
    run: Run, box: Sandbox, service: MailingService
) -> None:
    """The next run tries again."""
    add_person(box)
    service.refuses.add("ann@example.com")
    with pytest.raises(ExceptionGroup, match="which the next run tries again") as told:
        await run()
    others = set(service.subscribed)
    service.refuses.clear()
    await run()

    assert len(told.value.exceptions) == 1
    assert "was answered 400" in str(told.value.exceptions[0])
    assert others == emails_to_subscribe(box) - {"ann@example.com"}
    assert service.subscribed == emails_to_subscribe(box)


async def test_an_incomplete_list_unsubscribes_people_and_subscribes_nobody(
    run: Run, box: Sandbox, service: MailingService
) -> None:
    """A customer on the missing page may have the same e-mail and say no."""
    who = box.customers.ids(0, 1)[0]
    box.customers.update(who, {"email": "first@example.com", "consent": {"email": True}})
    box.customers.insert(90)
    await run()
    set_consent(box, who, False)
    box.customers.update(box.customers.ids(1, 2)[0], {"email": "moved@example.com", "consent": {"email": True}})
    add_person(box, "moved@example.com", consent=False)
    add_person(box, "last@example.com")
    box.fail(page=2, status=400, times=None)
    with pytest.raises(ExceptionGroup):
        await run()

    assert service.status("first@example.com") == "unsubscribed"
    assert service.status("moved@example.com") is service.status("last@example.com") is None
    assert service.wrong == []


async def test_another_box_office_and_too_many_deletions_unsubscribe_nobody(
    run: Run, box: Sandbox, service: MailingService
) -> None:
    """The store refuses another box office, and the limit of deletions stops the other run."""
    box.customers.insert(40)
    await run()
    before, key = set(service.subscribed), box.api_key
    box.api_key = "skl-another"
    with pytest.raises(Exception, match="filled with another API key"):
        await run()
    box.api_key = key
    box.customers.delete(box.customers.ids(0, 40))
    with pytest.raises(ExceptionGroup, match="tries again"):
        await run()

    assert service.subscribed == before


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("asked", "tries", "seconds"),
    [("", 4, 31), ("2", 4, 6), ("600", 4, 1800), ("86400", 1, 0), ("9" * 5000, 1, 0), ("-1", 4, 31), ("\u00b2", 4, 31)],
)
async def test_the_wait_that_the_service_asks_for_is_kept_unless_it_is_too_long(
    program: Any, asked: str, tries: int, seconds: int
) -> None:
    """A wait of a day is left to the next run: the store would be in use meanwhile."""
    calls: list[None] = []
    began = asyncio.get_running_loop().time()

    async def busy() -> None:
        calls.append(None)
        raise program.Unavailable("busy", asked)

    with pytest.raises(program.Unavailable, match="busy"):
        await program.patiently(busy)
    assert len(calls) == tries
    assert asyncio.get_running_loop().time() - began == pytest.approx(seconds)


@pytest.mark.slow
async def test_the_list_is_right_though_the_program_is_killed_at_any_moment(tmp_path: Path) -> None:
    """Customers change between the runs, and the service is sometimes busy, broken or cut off."""
    chance = random.Random(25)
    async with Sandbox(customers=120, rate_limit=None) as box:
        (tmp_path / "key").write_text(KEY)
        async with MailingService(lambda email: email_agrees(box, email), faults=0.05, latency=0.005) as service:
            settings = {"MAILING_LIST": service.url, "MAILING_KEY_FILE": str(tmp_path / "key")}
            example = Example("with_mailing_list.py", box, tmp_path, **settings)
            kills = 0
            left: set[str] = set()
            for _ in range(12):
                change_at_random(box, chance)
                process = await example.start()
                seen = len(service.written) + chance.randrange(12)
                running = asyncio.create_task(process.wait())
                while len(service.written) < seen and not running.done():  # noqa: ASYNC110 - the program writes them
                    await asyncio.sleep(0.005)
                if not running.done():
                    process.kill()
                    kills += 1
                await process.communicate()
                if service.subscribed:
                    left.add(email := chance.choice(sorted(service.subscribed)))
                    service.by_hand(email, "unsubscribed")
            await example()
            await example()
            settled = len(service.written)
            await example()

    assert kills > 5
    assert service.wrong == []
    assert service.subscribed <= emails_to_subscribe(box)
    assert emails_to_subscribe(box) - service.subscribed <= {comparable_email(email) for email in left}
    assert len(service.written) == settled


def change_at_random(box: Sandbox, chance: random.Random) -> None:
    """Make random changes of each kind that matters to a mailing list."""
    ids = chance.sample(box.customers.ids(), 12)
    for who in ids[:4]:
        set_consent(box, who, chance.random() < 0.5)
    taken = [customer.email for customer in people(box).values() if "@" in (customer.email or "")]
    box.customers.update(ids[4], {"email": str(chance.choice(taken)).upper()})
    box.customers.update(ids[5], {"email": f"new{chance.randrange(10**6)}@example.com"})
    box.customers.overwrite(ids[6], {"consent": chance.choice((None, [], {"email": "true"}, {"email": 1}))})
    box.customers.overwrite(ids[7], {"email": chance.choice((None, "", 5))})
    box.customers.purge(ids[8], form=chance.choice(("null", "empty", "gone")))
    box.customers.delete([ids[9]])
    box.customers.merge(ids[10], ids[11])
    add_person(box, chance.choice(taken), chance.random() < 0.7)
