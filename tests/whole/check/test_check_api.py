"""The way to the API, step by step, with each step broken in turn: real sockets, real certificates."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from agent.check import Area, Finding, Mark
from agent.check.api import check_api
from agent.config import Config
from demo.api import reference_api
from tests.whole.check.tls_servers import Authority, plain_server, self_signed, tls_server

Made = Callable[..., Config]
CHECKS = ("connection", "TLS", "answer")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    def make(url: str, **more: str) -> Config:
        return Config.from_environ(
            {
                "KUBENTLY_API_URL": url,
                "CLUSTER_ID": "sample",
                "KUBENTLY_TOKEN": "reference-token",
                "KUBENTLY_SPOOL_PATH": str(tmp_path / "spool" / "spool.db"),
                **more,
            }
        )

    return make


async def found(config: Config) -> dict[str, Finding]:
    findings: list[Finding] = []
    with Area("Central API", findings.append) as area:
        await check_api(area, config)
    assert [f.check for f in findings] == list(CHECKS[: len(findings)])
    return {f.check: f for f in findings}


def signs(findings: dict[str, Finding]) -> str:
    return "".join(finding.mark for finding in findings.values())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority("Example Root")
    (tmp_path / "ca.pem").write_bytes(made.pem)
    return made


async def test_all_is_well_over_tls(made: Made, authority: Authority, tmp_path: Path) -> None:
    async with tls_server(authority.issue(tmp_path / "s.pem", "localhost", ends=90.5)) as port:
        findings = await found(made(f"https://localhost:{port}", KUBENTLY_CA_CERT=str(tmp_path / "ca.pem")))
    assert signs(findings) == "√√√"
    tls = findings["TLS"].words
    assert "localhost by Example Root, for localhost, valid " in tls


async def test_a_certificate_that_ends_soon_is_said_before_it_does(
    made: Made, authority: Authority, tmp_path: Path
) -> None:
    async with tls_server(authority.issue(tmp_path / "s.pem", "localhost", ends=5.5)) as port:
        findings = await found(made(f"https://localhost:{port}", KUBENTLY_CA_CERT=str(tmp_path / "ca.pem")))
    assert signs(findings) == "√!√"
    assert "expires soon" in findings["TLS"].hint


FAULTS = {
    "expired": "certificate has expired: it is localhost by Example Root",
    "not yet valid": "certificate is not yet valid: it is localhost",
    "another name": "by Example Root, for api.example.com, valid",
    "self-signed": "self-signed certificate: it is localhost by localhost",
    "unknown CA": "localhost by Somebody Else, for localhost",
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_of_a_certificate_has_its_own_words(
    fault: str, made: Made, authority: Authority, tmp_path: Path
) -> None:
    file = tmp_path / "s.pem"
    if fault == "self-signed":
        self_signed(file, "localhost")
    elif fault == "unknown CA":
        Authority("Somebody Else").issue(file, "localhost")
    elif fault == "another name":
        authority.issue(file, "api.example.com")
    else:
        begins, ends = {"expired": (-30, -2), "not yet valid": (2, 30)}[fault]
        authority.issue(file, "localhost", begins=begins, ends=ends)
    async with tls_server(file) as port:
        findings = await found(made(f"https://localhost:{port}", KUBENTLY_CA_CERT=str(tmp_path / "ca.pem")))
    assert signs(findings) == "√×"
    assert FAULTS[fault] in findings["TLS"].words
    assert f"; trusted are KUBENTLY_CA_CERT ({tmp_path / 'ca.pem'})." in findings["TLS"].words
    assert findings["TLS"].hint.startswith("It must be for localhost and, like its CA, valid now (20")


async def test_the_ca_itself_has_expired(made: Made, tmp_path: Path) -> None:
    old = Authority("Old Root", begins=-400, ends=-35)
    (tmp_path / "ca.pem").write_bytes(old.pem)
    async with tls_server(old.issue(tmp_path / "s.pem", "localhost")) as port:
        findings = await found(made(f"https://localhost:{port}", KUBENTLY_CA_CERT=str(tmp_path / "ca.pem")))
    assert signs(findings) == "√×"
    assert "like its CA, valid now" in findings["TLS"].hint


async def test_a_client_certificate_is_wanted(made: Made, authority: Authority, tmp_path: Path) -> None:
    served = authority.issue(tmp_path / "s.pem", "localhost")
    async with tls_server(served, clients=tmp_path / "ca.pem") as port:
        findings = await found(made(f"https://localhost:{port}", KUBENTLY_CA_CERT=str(tmp_path / "ca.pem")))
    # In TLS 1.3 the server says so only after the handshake.
    assert signs(findings) == "√√×"
    assert "KUBENTLY_CLIENT_CERT" in findings["answer"].hint


async def test_no_tls_at_that_port(made: Made) -> None:
    async def plain(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await stream.aclose()

    async with plain_server(plain) as port:
        findings = await found(made(f"https://localhost:{port}"))
    assert signs(findings) == "√×"
    assert findings["TLS"].words == "what answers there doesn't speak TLS"


async def test_the_connection_is_dropped_in_the_handshake(made: Made) -> None:
    async def rude(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await trio.aclose_forcefully(stream)

    async with plain_server(rude) as port:
        findings = await found(made(f"https://localhost:{port}"))
    assert signs(findings) == "√×"
    assert "the TLS handshake failed" in findings["TLS"].words


async def test_a_handshake_that_never_ends_is_given_up(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.link.network.TLS_SECONDS", 0.1)

    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with plain_server(silent) as port:
        findings = await found(made(f"https://localhost:{port}"))
    assert signs(findings) == "√×"
    assert "no end of the TLS handshake within 0.1 s" in findings["TLS"].words


async def test_nothing_listens(made: Made) -> None:
    async with plain_server(lambda stream: stream.aclose()) as port:
        pass
    findings = await found(made(f"http://127.0.0.1:{port}"))
    assert signs(findings) == "×"
    assert "Connection refused" in findings["connection"].words
    assert "its port" in findings["connection"].hint


async def test_the_name_doesnt_resolve(made: Made) -> None:
    findings = await found(made("https://api.invalid"))
    assert signs(findings) == "×"
    assert "api.invalid can't be looked up" in findings["connection"].words
    assert "spelling" in findings["connection"].hint


async def test_through_a_proxy(
    made: Made, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    async with tls_server(authority.issue(tmp_path / "s.pem", "api.example")) as api_port:

        async def proxy(stream: trio.SocketStream) -> None:
            head = await stream.receive_some(4096)
            if not head:  # the look at the connection alone
                return
            asked.append(head)
            async with await trio.open_tcp_stream("127.0.0.1", api_port) as onward, trio.open_nursery() as both:
                await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                both.start_soon(_pump, stream, onward)
                await _pump(onward, stream)
                both.cancel_scope.cancel()

        async with plain_server(proxy) as proxy_port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://me:s%40cret@127.0.0.1:{proxy_port}")
            findings = await found(made("https://api.example", KUBENTLY_CA_CERT=str(tmp_path / "ca.pem")))
    assert signs(findings) == "√√√"
    assert "to the proxy 127.0.0.1" in findings["connection"].words
    assert asked[0].startswith(b"CONNECT api.example:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6c0BjcmV0" in asked[0]
    assert "cret" not in str(findings)


async def _pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    try:
        while chunk := await source.receive_some(65536):
            await sink.send_all(chunk)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


async def test_a_proxy_that_refuses(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        await stream.aclose()

    async with plain_server(refuse) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")
        findings = await found(made("https://api.example"))
    assert signs(findings) == "√×"
    assert "407 Proxy Authentication Required" in findings["TLS"].words


@pytest.mark.parametrize("link", ["poll", "stream"])
async def test_the_reference_api_answers(made: Made, link: str) -> None:
    async with reference_api() as api:
        findings = await found(made(api.url, KUBENTLY_LINK=link))
    assert signs(findings) == "√–√"
    assert "the token is accepted" in findings["answer"].words
    assert findings["connection"].words == f"to 127.0.0.1, at {api.url.removeprefix('http://')}"
    assert api.problems == []


ANSWERS: dict[str, tuple[Response, str, str]] = {
    "redirect": (RedirectResponse("https://elsewhere.example"), "a redirect", "Name the address"),
    "HTML": (Response("<html>login", media_type="text/html"), "HTML", "Something else answers"),
    "no JSON": (Response("fine"), "no JSON object", "Something else answers"),
    "404": (JSONResponse({"detail": "Not Found"}, 404), "HTTP 404", "the contract that KUBENTLY_LINK names"),
    "403": (JSONResponse({"detail": "no"}, 403), "HTTP 403", "CLUSTER_ID"),
    "502": (Response("bad gateway", 502), "HTTP 502", "loses nothing"),
    "another cluster": (
        JSONResponse({"cluster_id": "prod-us", "is_active": False, "queue_depth": 0}),
        "for cluster 'prod-us'",
        "correct one of them",
    ),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_an_answer_that_isnt_the_apis_is_explained(made: Made, what: str) -> None:
    response, words, hint = ANSWERS[what]

    async def interfere(request: Request) -> Response | None:
        return response

    async with reference_api() as api:
        api.interfere = interfere
        findings = await found(made(api.url))
    assert findings["answer"].mark is Mark.FAILED
    assert words in findings["answer"].words
    assert hint in findings["answer"].hint


async def test_the_token_isnt_accepted(made: Made) -> None:
    async with reference_api(token="another") as api:
        findings = await found(made(api.url))
    assert signs(findings) == "√–×"
    assert "doesn't know this token" in findings["answer"].hint
    assert "CLUSTER_ID" in findings["answer"].hint
    assert "reference-token" not in str(findings)


async def test_the_other_contract(made: Made) -> None:
    async with reference_api(links=["poll"]) as api:
        findings = await found(made(api.url, KUBENTLY_LINK="stream"))
    assert signs(findings) == "√–×"
    assert "GET /executor/stream: HTTP 404" in findings["answer"].words
    assert "the contract that KUBENTLY_LINK names" in findings["answer"].hint
    async with reference_api(links=["stream"]) as api:
        findings = await found(made(api.url))
    assert signs(findings) == "√–×"
    assert "GET /agent/status: HTTP 404" in findings["answer"].words


async def test_a_stream_that_something_buffers(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.link.stream.FIRST_SECONDS", 0.5)

    async def head_alone(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await trio.sleep_forever()

    async with plain_server(head_alone) as port:
        findings = await found(made(f"http://127.0.0.1:{port}", KUBENTLY_LINK="stream"))
    assert signs(findings) == "√–×"
    assert "the stream began, and then nothing came for 0.5 s" in findings["answer"].words
    assert "buffer it" in findings["answer"].hint


async def test_a_proxy_that_is_dead(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    async with plain_server(lambda stream: stream.aclose()) as port:
        pass
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")
    findings = await found(made("https://api.example"))
    assert signs(findings) == "×"
    assert f"Is the proxy up, is {port} its port" in findings["connection"].hint
