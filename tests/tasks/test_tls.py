"""Whom the agent trusts to be the API, and as whom it presents itself."""

import ssl
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import trio
import trustme

from agent.config import Config
from agent.errors import ConfigError, LinkDown
from agent.link.credentials import tls_context
from agent.link.http import Http

CUT = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def made(tmp_path):
    """A configuration whose certificate files hold these texts."""

    def made(url="https://localhost", **texts):
        environ = {"KUBENTLY_API_URL": url, "CLUSTER_ID": "prod", "KUBENTLY_TOKEN": "t0ken"}
        for name, text in texts.items():
            (tmp_path / name).write_bytes(text)
            environ[f"KUBENTLY_{name}"] = str(tmp_path / name)
        return Config.from_environ(environ | {"KUBENTLY_SPOOL_PATH": str(tmp_path / "spool.db")})

    return made


@asynccontextmanager
async def served(authority, *, own=None, wants_certificate=False):
    """A server that answers 204, with a certificate of `authority`."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (own or authority.issue_cert("localhost")).configure_cert(tls)
    if wants_certificate:
        authority.configure_trust(tls)
        tls.verify_mode = ssl.CERT_REQUIRED

    async def answer(stream):
        try:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        except trio.BrokenResourceError:
            pass  # whoever doesn't trust it says so and goes

    async with trio.open_nursery() as nursery:
        (tcp,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, [trio.SSLListener(tcp, tls, https_compatible=True)])
        yield f"https://localhost:{tcp.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def status(config):
    http = Http(config)
    try:
        return (await http.request("GET", "/", seconds=5)).status
    finally:
        await http.aclose()


async def test_the_configured_ca_is_trusted_and_no_other(authority, made):
    async with served(authority) as url:
        assert await status(made(url, CA_CERT=authority.cert_pem.bytes())) == 204
        with pytest.raises(LinkDown, match=r"certificate isn't trusted: .* `kubently-agent check` says whose"):
            await status(made(url, CA_CERT=trustme.CA().cert_pem.bytes()))


async def test_an_issuing_ca_alone_is_trusted_and_so_is_the_certificate_itself(authority, made):
    """As curl, Go and kubectl do."""
    issuing = authority.create_child_ca()
    own = issuing.issue_cert("localhost")
    for trusted in (issuing.cert_pem, own.cert_chain_pems[0]):
        async with served(issuing, own=own) as url:
            assert await status(made(url, CA_CERT=trusted.bytes())) == 204
    other = issuing.issue_cert("localhost").cert_chain_pems[0].bytes()
    async with served(issuing, own=own) as url:
        with pytest.raises(LinkDown, match="isn't trusted"):
            await status(made(url, CA_CERT=other))


async def test_rotated_certificates_are_used_from_the_next_request_on(authority, made, tmp_path, events):
    mine = authority.issue_cert("agent.example")
    cert, key = mine.cert_chain_pems[0].bytes(), mine.private_key_pem.bytes()
    async with served(authority, wants_certificate=True) as url:
        old = trustme.CA().cert_pem.bytes()
        http = Http(made(url, CA_CERT=old, CLIENT_CERT=cert, CLIENT_KEY=key))
        with pytest.raises(LinkDown, match="isn't trusted"):
            await http.request("GET", "/", seconds=5)
        (tmp_path / "CA_CERT").write_bytes(CUT.encode())
        with pytest.raises(LinkDown, match="isn't trusted"):
            await http.request("GET", "/", seconds=5)
        assert [fields["reason"] for fields in events["certificates can't be used, the old ones stay"]]
        (tmp_path / "CA_CERT").write_bytes(authority.cert_pem.bytes())
        assert (await http.request("GET", "/", seconds=5)).status == 204
        assert len(events["certificates read again"]) == 1
        (tmp_path / "CLIENT_CERT").write_bytes(trustme.CA().issue_cert("x").cert_chain_pems[0].bytes())
        assert (await http.request("GET", "/", seconds=5)).status == 204
        assert len(events["certificates can't be used, the old ones stay"]) == 2, "half-way through a rotation"
        await http.aclose()


async def test_the_systems_are_trusted_without_one(authority, made, tmp_path, monkeypatch):
    (tmp_path / "system.pem").write_bytes(authority.cert_pem.bytes())
    async with served(authority) as url:
        with pytest.raises(LinkDown, match="isn't trusted"):
            await status(made(url))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
        assert await status(made(url)) == 204


def test_a_system_without_any_has_those_of_a_package(made, monkeypatch):
    nowhere = SimpleNamespace(cafile=None, capath=None)
    monkeypatch.setattr("agent.link.credentials.ssl.get_default_verify_paths", lambda: nowhere)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "/no/such")
    assert len(tls_context(made()).get_ca_certs()) > 50


@pytest.mark.parametrize("together", [False, True])
async def test_a_client_certificate_is_shown(authority, made, together):
    mine = authority.issue_cert("agent.example")
    cert, key = mine.cert_chain_pems[0].bytes(), mine.private_key_pem.bytes()
    files = {"CLIENT_CERT": cert + key} if together else {"CLIENT_CERT": cert, "CLIENT_KEY": key}
    async with served(authority, wants_certificate=True) as url:
        assert await status(made(url, CA_CERT=authority.cert_pem.bytes(), **files)) == 204
        with pytest.raises(LinkDown):
            await status(made(url, CA_CERT=authority.cert_pem.bytes()))


def test_a_ca_that_cant_be_used(made):
    with pytest.raises(ConfigError, match=r"^KUBENTLY_CA_CERT: .* can't be used as a CA \(.+\)\. It must hold whole"):
        tls_context(made(CA_CERT=CUT.encode()))


def test_a_file_that_is_gone_since(made, tmp_path):
    config = made(CA_CERT=CUT.encode())
    (tmp_path / "CA_CERT").unlink()
    with pytest.raises(ConfigError, match=r"can't be used as a CA \(No such file or directory\)"):
        tls_context(config)


def test_a_key_of_another_certificate(authority, made):
    cert, other = (authority.issue_cert("agent.example") for _ in range(2))
    config = made(CLIENT_CERT=cert.cert_chain_pems[0].bytes(), CLIENT_KEY=other.private_key_pem.bytes())
    with pytest.raises(
        ConfigError, match=r"^KUBENTLY_CLIENT_CERT: .* can't be used \(the key is another certificate's\)"
    ):
        tls_context(config)


def test_over_http_nobody_is_trusted(made):
    assert tls_context(made("http://localhost")).get_ca_certs() == []
