"""Through a proxy to the API, and around it."""

from pathlib import Path

import pytest
import trio

from agent.config import Config
from agent.errors import ConfigError, LinkDown
from agent.link.http import Http
from agent.link.proxy import proxy_for, proxy_shown

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, "https://api.example", None),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, "https://api.example", "http://proxy.example:3128"),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, "http://api.example", None),
        ({"ALL_PROXY": "proxy.example:3128"}, "https://api.example", "http://proxy.example:3128"),
        ({"ALL_PROXY": "http://p.example", "NO_PROXY": "localhost,api.example"}, "https://api.example:8443", None),
        ({"ALL_PROXY": "http://p.example", "NO_PROXY": ".example"}, "https://a.b.example", None),
        ({"ALL_PROXY": "http://p.example", "NO_PROXY": "*"}, "https://api.example", None),
    ],
)
def test_the_usual_variables(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], url: str, proxy: str | None
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


@pytest.mark.parametrize(
    ("exceptions", "host", "proxied"),
    [
        ("10.0.0.0/8", "10.1.2.3", False),
        ("10.0.0.0/8", "11.1.2.3", True),
        ("10.1.2.3", "10.1.2.3", False),
        ("10.1.2.3", "10.1.2.30", True),
        ("10.1.2.3:8443", "10.1.2.3:8443", False),
        ("10.1.2.3:8443", "10.1.2.3", True),
        ("fd00::/8", "[fd00::1]", False),
        ("fd00::1", "[fd00::1]", False),
        ("[fd00::1]", "[fd00::1]", False),
        ("[fd00::1]:443", "[fd00::1]", False),
        ("[fd00::1]:8443", "[fd00::1]", True),
        ("10.1.2.3", "[::ffff:10.1.2.3]", False),
        ("api.example", "api.example", False),
        ("api.example", "API.example.", False),
        ("api.example", "a.api.example", False),
        ("api.example", "notapi.example", True),
        ("api.example:443", "api.example", False),
        ("api.example:8443", "api.example", True),
        ("api.example:8443", "api.example:8443", False),
        (".example", "api.example", False),
        (".api.example", "api.example", True),
        ("*.example", "api.example", False),
        ("*.api.example", "api.example", True),
        ("*.example:443", "api.example", False),
        ("one.example two.example\tapi.example", "api.example", False),
        (" one.example , API.example ", "api.example", False),
        ("one.example,*", "api.example", False),
        (",: ,:443,[],", "api.example", True),
        ("10.0.0.0/8", "api.example", True),
        ("", "127.0.0.1:8080", False),
        ("", "127.9.9.9", False),
        ("", "localhost", False),
        ("", "localhost.", False),
        ("", "[::1]", False),
        ("", "10.1.2.3", True),
    ],
)
def test_what_goes_without_a_proxy_is_as_in_go(
    monkeypatch: pytest.MonkeyPatch, exceptions: str, host: str, proxied: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://p.example:3128")
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert (proxy_for(f"https://{host}") is not None) is proxied


async def test_the_token_never_leaves_for_this_machine_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def api(stream: trio.SocketStream) -> None:
        async with stream:
            asked.append(await stream.receive_some(65536))
            await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, api, [listener])
        monkeypatch.setenv("HTTP_PROXY", "http://p.invalid:3128")
        environ = {"CLUSTER_ID": "one", "KUBENTLY_TOKEN": "t" * 32, "KUBENTLY_SPOOL_PATH": str(tmp_path / "spool.db")}
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        http = Http(Config.from_environ(environ | {"KUBENTLY_API_URL": url}))
        assert (await http.request("GET", "/agent/status", seconds=5)).status == 204
        await http.aclose()
        nursery.cancel_scope.cancel()
    assert asked[0].startswith(b"GET /agent/status HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("answer", "says", "hint"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "407", "a user and a password"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403", "NO_PROXY"),
    ],
)
async def test_a_proxy_that_refuses_is_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, says: str, hint: str
) -> None:
    async def proxy(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65536)
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, proxy, [listener])
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
        environ = {"CLUSTER_ID": "one", "KUBENTLY_TOKEN": "t" * 32, "KUBENTLY_SPOOL_PATH": str(tmp_path / "spool.db")}
        http = Http(Config.from_environ(environ | {"KUBENTLY_API_URL": "https://api.example"}))
        with pytest.raises(LinkDown, match=f"the proxy refuses: {says}") as down:
            await http.request("GET", "/agent/status", seconds=5)
        assert hint in down.value.hint
        await http.aclose()
        nursery.cancel_scope.cancel()


def test_a_proxy_is_shown_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_shown("https://api.example") is None
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pa55@proxy.example:3128")
    assert proxy_shown("https://api.example") == "proxy.example:3128"


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ("socks5://me:pa55@proxy:1", "of the kind socks5:// can't be used"),
        ("http://me:pa55@proxy:x", "isn't a URL"),
        ("http://[::1", "isn't a URL"),
        ("http://:3128", "names no host"),
    ],
)
def test_what_is_no_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str, says: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError, match=f"^ALL_PROXY: .*{says}.*For example: http://") as caught:
        proxy_for("https://api.example")
    assert "pa55" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "proxy", "says"),
    [
        ("https://10.0.0.300", "", "KUBENTLY_API_URL: Invalid IPv4 address: '10.0.0.300'"),
        ("https://api.example", "http://me:pa55@10.0.0.300:1", "The proxy .*: Invalid IPv4 address: '10.0.0.300'"),
    ],
)
def test_an_address_that_there_cant_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, proxy: str, says: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    environ = {"KUBENTLY_API_URL": url, "CLUSTER_ID": "prod", "KUBENTLY_TOKEN": "t0ken"}
    config = Config.from_environ(environ | {"KUBENTLY_SPOOL_PATH": str(tmp_path / "spool.db")})
    with pytest.raises(ConfigError, match=f"^{says}") as caught:
        Http(config)
    assert "pa55" not in str(caught.value)


async def test_requests_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def proxy(stream: trio.SocketStream) -> None:
        async with stream:
            asked.append(await stream.receive_some(65536))
            await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, proxy, [listener])
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
        config = Config.from_environ(
            {
                "KUBENTLY_API_URL": "http://api.example",
                "KUBENTLY_ALLOW_HTTP": "true",
                "CLUSTER_ID": "one",
                "KUBENTLY_TOKEN": "t" * 32,
                "KUBENTLY_SPOOL_PATH": str(tmp_path / "spool.db"),
            }
        )
        http = Http(config)
        answer = await http.request("GET", "/agent/status", seconds=5)
        await http.aclose()
        nursery.cancel_scope.cancel()
    assert answer.status == 204
    assert asked[0].startswith(b"GET http://api.example/agent/status HTTP/1.1\r\n")
    assert b"X-Cluster-ID: one" in asked[0]
