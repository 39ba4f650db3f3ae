"""The command in a company network, with a proxy and a certificate of the company."""

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
    """A proxy, and a TLS server behind it that forwards everything to a sandbox."""

    proxy: str
    certificates: Path
    asked: list[str] = field(factory=list)

    def env(self, **more: str) -> dict[str, str]:
        """Return the environment variables for this network."""
        return {"TICKETSOURCE_BASE_URL": API, "SSL_CERT_FILE": str(self.certificates), **more}


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Copy data between two sockets until one of them is closed."""
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
    """Serve on a free port, and cancel all connections at the end."""
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


async def run_as_process(*arguments: str, box: Sandbox, env: dict[str, str]) -> Done:
    """Run the command as a process, which reads its certificates when it starts."""
    process = await start(*arguments, box=box, env=env)
    out, err = await process.communicate()
    return Done(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_the_command_works_through_a_proxy_of_the_environment(company: Company, box: Sandbox, name: str) -> None:
    """The command asks for a tunnel with the proxy's password. The API gets the key through it."""
    done = await run_as_process(*EXPORT, box=box, env=company.env(**{name: f"http://karl:sek%23ret@{company.proxy}"}))

    assert (done.code, len(table(done.out))) == (0, 25)
    assert company.asked == ["CONNECT api.company.invalid:443"]
    assert {request.headers["authorization"] for request in box.requests} == {f"Bearer {box.api_key}"}


@pytest.mark.parametrize("off", ["--no-proxy", "NO_PROXY"])
async def test_a_proxy_can_be_turned_off(company: Company, box: Sandbox, off: str) -> None:
    """An option or a list of hosts does so. The message says that no proxy was used."""
    settings = {"HTTPS_PROXY": f"http://karl:sek%23ret@{company.proxy}"}
    if off == "NO_PROXY":
        settings[off] = "localhost,.company.invalid"
    options = (off,) if off.startswith("--") else ()
    done = await run_as_process(
        "customers", "get", box.customers.ids()[0], *options, box=box, env=company.env(**settings)
    )

    assert (done.code, company.asked, len(box.requests)) == (75, [], 0)
    assert "no connection to api.company.invalid:443, without a proxy (" in done.err


async def test_the_message_names_the_proxy_and_never_its_password(company: Company, box: Sandbox) -> None:
    """The proxies refuse the password, are unreachable, or cannot be used."""
    get = ("customers", "get", box.customers.ids()[0])

    refused = await run_as_process(*get, box=box, env=company.env(HTTPS_PROXY=f"http://karl:wrong@{company.proxy}"))
    unreachable = await run_as_process(*get, box=box, env=company.env(HTTPS_PROXY="http://karl:wrong@127.0.0.1:1"))
    socks = await run_as_process(*get, box=box, env=company.env(ALL_PROXY="socks5://karl:wrong@127.0.0.1:1"))

    assert (refused.code, unreachable.code, socks.code) == (75, 75, 2)
    assert f"through the proxy http://{company.proxy} (" in refused.err
    assert "The proxy asks for a user name and a password" in refused.err
    assert "through the proxy http://127.0.0.1:1 (" in unreachable.err
    assert "begins with 'socks5'" in socks.err
    assert "wrong" not in refused.err + unreachable.err + socks.err
    assert not box.requests


async def test_a_check_reports_the_state_of_a_proxy_without_naming_it(company: Company, box: Sandbox) -> None:
    """It says whether the proxy works, or which step fails. The password is not shown."""
    through = await _states_of_check(company, box, HTTPS_PROXY=f"http://karl:sek%23ret@{company.proxy}")
    refused = await _states_of_check(company, box, HTTPS_PROXY=f"http://karl:wrong@{company.proxy}")
    unreachable = await _states_of_check(company, box, HTTPS_PROXY="http://karl:wrong@127.0.0.1:1")
    unusable = await _states_of_check(company, box, ALL_PROXY="socks5://karl:wrong@127.0.0.1:1")
    opened = await _states_of_check(
        company, box, HTTPS_PROXY=f"http://karl:sek%23ret@{company.proxy}", SSL_CERT_FILE="/nowhere/company.pem"
    )

    assert through == (0, {"name resolution": "ok", "proxy": "ok", "TLS": "ok", "reached": "ok", "key": "ok"})
    assert refused == (75, {**dict.fromkeys(through[1], "open"), "name resolution": "ok", **_FAILED_AT_THE_PROXY})
    assert unreachable == refused
    assert unusable == (2, {**dict.fromkeys(through[1], "open"), "proxy": "failed"})
    assert opened == (
        75,
        {**dict.fromkeys(through[1], "open"), "name resolution": "ok", "TLS": "failed", "reached": "failed"},
    )


_FAILED_AT_THE_PROXY = {"proxy": "failed", "reached": "failed"}


async def _states_of_check(company: Company, box: Sandbox, **settings: str) -> tuple[int | None, dict[str, str]]:
    """Return the exit code of a check, and the states of the lines about the connection."""
    done = await run_as_process("check", "--json", box=box, env=company.env(**settings))
    found = {line["name"]: line["state"] for line in json.loads(done.out)["findings"] if line["group"] == "connection"}
    assert not {"sek#ret", "sek%23ret", "wrong", box.api_key} & set(re.split(r"[\s:@/\"]", done.out + done.err))
    assert company.proxy not in done.out
    return done.code, {name: found[name] for name in ("name resolution", "proxy", "TLS", "reached", "key")}


@pytest.mark.parametrize("trusted", ["", "/nowhere/company.pem"])
async def test_for_an_untrusted_certificate_the_error_says_how_to_trust_it(
    company: Company, box: Sandbox, trusted: str
) -> None:
    """The proxy of a company may decrypt the traffic with its own certificate."""
    settings = company.env(HTTPS_PROXY=f"http://karl:sek%23ret@{company.proxy}", SSL_CERT_FILE=trusted)
    done = await run_as_process(*EXPORT, box=box, env=settings)

    assert (done.code, len(box.requests)) == (75, 0)
    assert "The certificate of the server is not trusted here." in done.err
    assert "set SSL_CERT_FILE to a file with the certificate of its issuer" in done.err
    assert f"through the proxy http://{company.proxy} (" in done.err


async def test_a_certificate_with_another_name_is_reported_as_such(company: Company, box: Sandbox) -> None:
    """The error does not advise to trust it."""
    settings = company.env(HTTPS_PROXY=f"http://karl:sek%23ret@{company.proxy}")
    done = await run_as_process(*EXPORT, box=box, env=settings | {"TICKETSOURCE_BASE_URL": "https://other.invalid"})

    assert done.code == 75
    assert "The certificate is of a server with another name: check base_url." in done.err
    assert "SSL_CERT_FILE" not in done.err


@pytest.mark.parametrize("arguments", [("customers", "export", "--sandbox"), ("customers", "export")])
async def test_no_proxy_is_used_for_this_machine(company: Company, box: Sandbox, arguments: tuple[str, ...]) -> None:
    """`--sandbox` and a local sandbox work if a proxy is set."""
    proxy = f"http://{company.proxy}"
    settings = company.env(HTTP_PROXY=proxy, HTTPS_PROXY=proxy, ALL_PROXY=proxy, TICKETSOURCE_BASE_URL=box.url)
    settings |= {name.lower(): value for name, value in settings.items() if name.endswith("_PROXY")}
    done = await run_as_process(*arguments, box=box, env=settings)

    assert done.code == 0
    assert len(table(done.out)) >= 25
    assert company.asked == []


async def test_commands_that_call_the_api_have_the_option_no_proxy() -> None:
    """Other commands do not have it."""
    assert "--no-proxy" in (await run("customers", "changes", "--help")).out
    assert "--no-proxy" in (await run("seats", "get", "--help")).out
    assert "--no-proxy" not in (await run("customers", "forget", "--help")).out
