"""The command in a company: behind a proxy, and behind a certificate of the company's own."""

import asyncio
import base64
import json
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme
from attrs import define, field
from command import EXPORT, Done, run, start, table
from talking import Talk

from ticketsource_async.sandbox import Sandbox

API = "https://api.company.invalid"  # which only the proxy can find


@define
class Company:
    """A proxy, and a TLS server behind it that passes on what it gets to a sandbox."""

    proxy: str
    certificates: Path
    asked: list[str] = field(factory=list)

    def env(self, **more: str) -> dict[str, str]:
        """Return the settings with which the command works there."""
        return {"TICKETSOURCE_BASE_URL": API, "SSL_CERT_FILE": str(self.certificates), **more}


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Connect two sockets until one of them ends."""
    other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                target.write(data)
                await target.drain()
        target.close()

    await asyncio.gather(copy(reader, other_writer), copy(other_reader, writer))


@pytest.fixture(name="company")
async def _company(box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Company]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "company.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.company.invalid").configure_cert(context)
    company = Company("", tmp_path / "company.pem")
    password = base64.b64encode(b"karl:sek#ret").decode()

    async def unpack(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await pass_on(reader, writer, int(box.url.rpartition(":")[2]))

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        company.asked.append(head.partition(" HTTP")[0])
        if f"Proxy-Authorization: Basic {password}" in head:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await pass_on(reader, writer, server.sockets[0].getsockname()[1])
        else:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            writer.close()

    async with serving(unpack, context) as server, serving(connect) as proxy:
        company.proxy = f"127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        yield company


@asynccontextmanager
async def serving(talk: Talk, context: ssl.SSLContext | None = None) -> AsyncIterator[asyncio.Server]:
    """Serve on a free port, and end what goes on there."""
    talks: set[asyncio.Future[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.ensure_future(talk(reader, writer)))

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield listener
    finally:
        listener.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def ended(*arguments: str, box: Sandbox, env: dict[str, str]) -> Done:
    """Run the command as a process, which reads its certificates when it starts."""
    process = await start(*arguments, box=box, env=env)
    out, err = await process.communicate()
    return Done(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_the_command_works_through_the_proxy_of_a_company(company: Company, box: Sandbox, name: str) -> None:
    """It is asked for a tunnel with its password, and the API gets the key through it."""
    done = await ended(*EXPORT, box=box, env=company.env(**{name: f"http://karl:sek%23ret@{company.proxy}"}))

    assert (done.code, len(table(done.out))) == (0, 25)
    assert company.asked == ["CONNECT api.company.invalid:443"]
    assert {request.headers["authorization"] for request in box.requests} == {f"Bearer {box.api_key}"}


@pytest.mark.parametrize("off", ["--no-proxy", "NO_PROXY"])
async def test_a_proxy_can_be_turned_off(company: Company, box: Sandbox, off: str) -> None:
    """By an option, or for some hosts; the message says that none was used."""
    settings = {"HTTPS_PROXY": f"http://karl:sek%23ret@{company.proxy}"}
    if off == "NO_PROXY":
        settings[off] = "localhost,.company.invalid"
    options = (off,) if off.startswith("--") else ()
    done = await ended("customers", "get", box.customers.ids()[0], *options, box=box, env=company.env(**settings))

    assert (done.code, company.asked, len(box.requests)) == (75, [], 0)
    assert "no connection to api.company.invalid:443, without a proxy (" in done.err


async def test_the_message_names_the_proxy_and_never_its_password(company: Company, box: Sandbox) -> None:
    """One that refuses, one that is away, and one that cannot be one."""
    get = ("customers", "get", box.customers.ids()[0])

    refused = await ended(*get, box=box, env=company.env(HTTPS_PROXY=f"http://karl:wrong@{company.proxy}"))
    away = await ended(*get, box=box, env=company.env(HTTPS_PROXY="http://karl:wrong@127.0.0.1:1"))
    socks = await ended(*get, box=box, env=company.env(ALL_PROXY="socks5://karl:wrong@127.0.0.1:1"))

    assert (refused.code, away.code, socks.code) == (75, 75, 2)
    assert f"through the proxy http://{company.proxy} (" in refused.err
    assert "The proxy asks for a user name and a password" in refused.err
    assert "through the proxy http://127.0.0.1:1 (" in away.err
    assert "begins with 'socks5'" in socks.err
    assert "wrong" not in refused.err + away.err + socks.err
    assert not box.requests


async def test_a_check_tells_of_a_proxy_without_naming_it(company: Company, box: Sandbox) -> None:
    """That it lets requests through, or which part of the way fails; stderr has the rest, without the password."""
    through = await _states(company, box, HTTPS_PROXY=f"http://karl:sek%23ret@{company.proxy}")
    refused = await _states(company, box, HTTPS_PROXY=f"http://karl:wrong@{company.proxy}")
    away = await _states(company, box, HTTPS_PROXY="http://karl:wrong@127.0.0.1:1")
    unusable = await _states(company, box, ALL_PROXY="socks5://karl:wrong@127.0.0.1:1")
    opened = await _states(
        company, box, HTTPS_PROXY=f"http://karl:sek%23ret@{company.proxy}", SSL_CERT_FILE="/nowhere/company.pem"
    )

    assert through == (0, {"name resolution": "ok", "proxy": "ok", "TLS": "ok", "reached": "ok", "key": "ok"})
    assert refused == (75, {**dict.fromkeys(through[1], "open"), "name resolution": "ok", **_FAILED_AT_THE_PROXY})
    assert away == refused
    assert unusable == (2, {**dict.fromkeys(through[1], "open"), "proxy": "failed"})
    assert opened == (
        75,
        {**dict.fromkeys(through[1], "open"), "name resolution": "ok", "TLS": "failed", "reached": "failed"},
    )


_FAILED_AT_THE_PROXY = {"proxy": "failed", "reached": "failed"}


async def _states(company: Company, box: Sandbox, **settings: str) -> tuple[int | None, dict[str, str]]:
    """Return how a check ends, and the states of the lines that are about the way to the API."""
    done = await ended("check", "--json", box=box, env=company.env(**settings))
    found = {line["name"]: line["state"] for line in json.loads(done.out)["findings"] if line["group"] == "connection"}
    assert not {"sek#ret", "sek%23ret", "wrong", box.api_key} & set(re.split(r"[\s:@/\"]", done.out + done.err))
    assert company.proxy not in done.out
    return done.code, {name: found[name] for name in ("name resolution", "proxy", "TLS", "reached", "key")}


@pytest.mark.parametrize("trusted", ["", "/nowhere/company.pem"])
async def test_a_certificate_that_is_not_trusted_says_how_to_trust_it(
    company: Company, box: Sandbox, trusted: str
) -> None:
    """The proxy of a company may open what is encrypted, with a certificate of its own."""
    settings = company.env(HTTPS_PROXY=f"http://karl:sek%23ret@{company.proxy}", SSL_CERT_FILE=trusted)
    done = await ended(*EXPORT, box=box, env=settings)

    assert (done.code, len(box.requests)) == (75, 0)
    assert "The certificate of the server is not trusted here." in done.err
    assert "set SSL_CERT_FILE to a file with the certificate of its issuer" in done.err
    assert f"through the proxy http://{company.proxy} (" in done.err


async def test_a_certificate_of_another_name_is_told_as_that(company: Company, box: Sandbox) -> None:
    """To trust it would not help."""
    settings = company.env(HTTPS_PROXY=f"http://karl:sek%23ret@{company.proxy}")
    done = await ended(*EXPORT, box=box, env=settings | {"TICKETSOURCE_BASE_URL": "https://other.invalid"})

    assert done.code == 75
    assert "The certificate is of a server with another name: check base_url." in done.err
    assert "SSL_CERT_FILE" not in done.err


@pytest.mark.parametrize("arguments", [("customers", "export", "--sandbox"), ("customers", "export")])
async def test_nothing_goes_through_a_proxy_to_this_machine(
    company: Company, box: Sandbox, arguments: tuple[str, ...]
) -> None:
    """The first command of the README, and a sandbox of one's own, work where a proxy is set."""
    proxy = f"http://{company.proxy}"
    settings = company.env(HTTP_PROXY=proxy, HTTPS_PROXY=proxy, ALL_PROXY=proxy, TICKETSOURCE_BASE_URL=box.url)
    settings |= {name.lower(): value for name, value in settings.items() if name.endswith("_PROXY")}
    done = await ended(*arguments, box=box, env=settings)

    assert done.code == 0
    assert len(table(done.out)) >= 25
    assert company.asked == []


async def test_each_command_that_calls_the_api_can_do_without_a_proxy() -> None:
    """`--no-proxy` is everywhere, but where nothing is called."""
    assert "--no-proxy" in (await run("customers", "changes", "--help")).out
    assert "--no-proxy" in (await run("seats", "get", "--help")).out
    assert "--no-proxy" not in (await run("customers", "forget", "--help")).out
