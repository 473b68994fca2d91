"""Through a proxy to the API, and around it."""

from pathlib import Path

import pytest
import trio

from agent.config import Config
from agent.errors import ConfigError
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
