"""The real kubectl speaks to the configured server and to no other, with the pod's own credentials."""

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from agent.kubectl import Kubectl
from tests.whole.kubectl.conftest import Kept, write_config


@dataclass
class Recorder:
    """A server that knows no resource, and remembers who asked it for what."""

    port: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    @contextlib.contextmanager
    def serving(self, tls: ssl.SSLContext | None = None) -> Iterator["Recorder"]:
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, self.headers.get("Authorization")))
                body = json.dumps({"major": "1", "minor": "37", "gitVersion": "v1.37.1"}).encode()
                self.send_response(200 if self.path.startswith("/version") else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "account"
    folder.mkdir()
    (folder / "token").write_text("first")
    monkeypatch.setattr("agent.kubectl.environment.SERVICE_ACCOUNT", folder)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    return folder


@pytest.fixture
def configured() -> Iterator[Recorder]:
    with Recorder().serving() as recorder:
        yield recorder


@pytest.fixture
def other() -> Iterator[Recorder]:
    with Recorder().serving() as recorder:
        yield recorder


async def ask(kubectl: Kubectl, sink: Kept, *argv: str) -> int | None:
    return (await kubectl.run(argv or ("version",), timeout=30.0, max_bytes=10_000, sink=sink)).exit_code


async def test_nothing_in_the_agents_environment_leads_elsewhere(
    real: Path, tmp_path: Path, configured: Recorder, other: Recorder, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = f"http://127.0.0.1:{other.port}"
    (tmp_path / "user" / ".kube").mkdir(parents=True)
    write_config(tmp_path / "user" / ".kube" / "config", elsewhere)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "user" / ".kube" / "config"))
    monkeypatch.setenv("KUBERNETES_MASTER", elsewhere)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(other.port))
    config = write_config(tmp_path / "config", f"http://127.0.0.1:{configured.port}")
    kubectl = await Kubectl.prepare(kubectl=str(real), kubeconfig=config, home=tmp_path / "home")
    assert await ask(kubectl, kept) == 0
    assert configured.asked
    assert other.asked == []


async def test_a_preferences_file_changes_nothing(
    real: Path, tmp_path: Path, configured: Recorder, other: Recorder, kept: Kept
) -> None:
    """`~/.kube/kuberc` can give every verb another server."""
    config = write_config(tmp_path / "config", f"http://127.0.0.1:{configured.port}")
    kubectl = await Kubectl.prepare(kubectl=str(real), kubeconfig=config, home=tmp_path / "home")
    (tmp_path / "home" / ".kube").mkdir()
    defaults = [{"name": "server", "default": f"http://127.0.0.1:{other.port}"}]
    (tmp_path / "home" / ".kube" / "kuberc").write_text(
        json.dumps(
            {
                "apiVersion": "kubectl.config.k8s.io/v1beta1",
                "kind": "Preference",
                "defaults": [{"command": "version", "options": defaults}],
            }
        )
    )
    assert await ask(kubectl, kept) == 0
    assert configured.asked
    assert other.asked == []


@pytest.mark.parametrize("change", ["gone", "another context", "no context left"])
async def test_a_kubeconfig_that_changes_leads_nowhere_else(
    real: Path, tmp_path: Path, configured: Recorder, other: Recorder, kept: Kept, change: str
) -> None:
    config = write_config(tmp_path / "config", f"http://127.0.0.1:{configured.port}")
    kubectl = await Kubectl.prepare(kubectl=str(real), kubeconfig=config, home=tmp_path / "home")
    if change == "gone":
        config.unlink()
    elif change == "another context":
        write_config(config, f"http://127.0.0.1:{other.port}", context="other")
    else:
        config.write_text("{}")
    assert await ask(kubectl, kept, "get", "pods", "--request-timeout=1s") == 1
    assert (configured.asked, other.asked) == ([], [])
    assert "localhost:8080" not in kept.stderr
    assert ("no such file" if change == "gone" else "context was not found for specified context: lab") in kept.stderr


async def test_in_a_pod_the_token_is_sent_and_its_successor_too(
    real: Path, tmp_path: Path, account: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(account / "ca.crt")
    with Recorder().serving(tls) as server:
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
        kubectl = await Kubectl.prepare(str(real), None, tmp_path / "home")
        assert await ask(kubectl, kept) == 0
        assert {token for _, token in server.asked} == {"Bearer first"}
        server.asked.clear()
        (account / "token").write_text("second")
        assert await ask(kubectl, kept) == 0
        assert {token for _, token in server.asked} == {"Bearer second"}


async def test_in_a_pod_a_server_with_another_ca_gets_no_token(
    real: Path, tmp_path: Path, account: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    trustme.CA().cert_pem.write_to_path(account / "ca.crt")
    with Recorder().serving(tls) as server:
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
        kubectl = await Kubectl.prepare(str(real), None, tmp_path / "home")
        assert await ask(kubectl, kept) == 1
        assert server.asked == []
    assert "certificate signed by unknown authority" in kept.stderr


async def test_discovery_is_kept_on_the_volume(real: Path, tmp_path: Path, configured: Recorder, kept: Kept) -> None:
    config = write_config(tmp_path / "config", f"http://127.0.0.1:{configured.port}")
    kubectl = await Kubectl.prepare(kubectl=str(real), kubeconfig=config, home=tmp_path / "home")
    await ask(kubectl, kept, "get", "pods")
    assert list((tmp_path / "home" / "cache").iterdir())
    assert list((tmp_path / "home" / "empty").iterdir()) == []
