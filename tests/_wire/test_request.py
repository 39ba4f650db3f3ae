"""The settings of a client and what is sent, as tables."""

from typing import Any

import pytest

from ticketsource_async import errors
from ticketsource_async._wire.request import Credentials, Request, Secret

KEY = "skl-not-a-real-key"
CREDENTIALS = Credentials.of(Secret(KEY), "https://api.ticketsource.io", "tests/1", "bearer")


@pytest.mark.parametrize(
    ("auth", "header"),
    [("bearer", f"Bearer {KEY}"), ("basic", "Basic c2tsLW5vdC1hLXJlYWwta2V5Og==")],
)
def test_the_key_is_sent_in_the_header_in_both_notations(auth: Any, header: str) -> None:
    """Bearer has the key itself. Basic has it as the user name with an empty password."""
    credentials = Credentials.of(Secret(KEY), "https://api.ticketsource.io", "tests/1", auth)

    assert credentials.headers["Authorization"] == header


@pytest.mark.parametrize("auth", ["bearer", "basic"])
def test_no_repr_and_no_scrubbed_text_shows_the_key(auth: Any) -> None:
    """They show it neither in clear nor in Base64."""
    credentials = Credentials.of(Secret(KEY), "https://api.ticketsource.io", "tests/1", auth)
    sent = Request(credentials, "GET", credentials.base_url)

    shown = f"{credentials!r} {sent!r} {sent} {sent.scrub(str(credentials.headers))}"

    assert KEY not in shown
    assert "c2tsLW5v" not in shown
    assert len(sent.scrub("x" * 10_000)) < 600


@pytest.mark.parametrize("password", ["pa55", "pa/55", "p:a/5@5"])
def test_the_password_of_a_proxy_is_scrubbed(password: str) -> None:
    """A slash in the password does not end it."""
    sent = Request(CREDENTIALS, "GET", CREDENTIALS.base_url)

    assert (
        sent.scrub(f"no way to http://me:{password}@proxy:8080 (refused)")
        == "no way to http://***@proxy:8080 (refused)"
    )


@pytest.mark.parametrize("key", ["", " ", "skl-a b", "skl-a\n", "skl-ä", None, b"skl-a"])
def test_an_invalid_key_is_refused_and_not_shown(key: Any) -> None:
    """White space, line ends and non-ASCII characters in a key are a ConfigurationError."""
    with pytest.raises(errors.ConfigurationError, match="api_key") as caught:
        Credentials.of(Secret(key), "https://api.ticketsource.io", "tests/1", "bearer")

    assert "skl-a" not in str(caught.value)


@pytest.mark.parametrize(
    ("base_url", "fits"),
    [
        ("https://api.ticketsource.io", True),
        ("https://api.ticketsource.io/", True),
        ("https://proxy.example:8443/ticketsource/", True),
        ("http://localhost:8000", True),
        ("http://127.0.0.1:8000", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8000", True),
        ("http://api.ticketsource.io", False),
        ("http://10.0.0.1", False),
        ("http://localhost.example", False),
        ("ftp://localhost", False),
        ("api.ticketsource.io", False),
        ("https://", False),
        ("https://user:pw@api.ticketsource.io", False),
        ("ftp://user:pw@api.ticketsource.io", False),
        ("https://api.ticketsource.io/?a=1", False),
        ("https://api.ticketsource.io/#a", False),
        ("https://api.ticketsource.io:99999", False),
        (None, False),
    ],
)
def test_the_base_url_must_be_https_unless_it_is_this_machine(base_url: Any, fits: bool) -> None:
    """Everything but https, or http on loopback, is a ConfigurationError that names base_url."""
    if fits:
        url = Credentials.of(Secret(KEY), base_url, "tests/1", "bearer").base_url
        assert str(url.joinpath("customers", "cst-1")).endswith("/customers/cst-1")
        assert "//customers" not in str(url.joinpath("customers"))
    else:
        with pytest.raises(errors.ConfigurationError, match="base_url") as caught:
            Credentials.of(Secret(KEY), base_url, "tests/1", "bearer")
        assert "pw" not in str(caught.value)


@pytest.mark.parametrize(("setting", "value"), [("user_agent", "a\r\nX: y"), ("user_agent", ""), ("auth", "digest")])
def test_other_invalid_settings_are_named(setting: str, value: str) -> None:
    """A user agent that would break the header and an unknown kind of authentication are refused by name."""
    settings: dict[str, Any] = {"user_agent": "tests/1", "auth": "bearer", setting: value}
    with pytest.raises(errors.ConfigurationError, match=setting):
        Credentials.of(Secret(KEY), "https://api.ticketsource.io", **settings)
