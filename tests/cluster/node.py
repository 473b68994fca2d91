"""A stand-in for what a kubelet answers: the logs of its containers, over HTTPS on loopback."""

import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import trustme

_CHUNK = 64 * 1024


@dataclass
class ContainerLog:
    """What one container has printed."""

    lines: Sequence[str] = ()
    flood_bytes: int = 0
    """Followed by so much more."""
    slow: threading.Event | None = None
    """Nothing is answered before this is set."""

    def read(self, tail: str) -> Iterator[bytes]:
        """As a kubelet sends it, with `tailLines` honoured."""
        if self.slow is not None:
            self.slow.wait()
        kept = self.lines[-int(tail) :] if tail else self.lines
        yield "".join(f"{line}\n" for line in kept).encode()
        for left in range(self.flood_bytes, 0, -_CHUNK):
            yield b"x" * (min(left, _CHUNK) - 1) + b"\n"


class Kubelet:
    """Serves `/containerLogs/NAMESPACE/POD/CONTAINER` to the API server, which `kubectl logs` asks."""

    def __init__(self, ca: trustme.CA) -> None:
        self.logs: dict[tuple[str, str, str], ContainerLog] = {}
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert("127.0.0.1").configure_cert(context)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.logs))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(logs: dict[tuple[str, str, str], ContainerLog]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            _, _, namespace, pod, container = url.path.split("/")
            log = logs.get((namespace, pod, container))
            if log is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            try:
                for chunk in log.read(parse_qs(url.query).get("tailLines", [""])[0]):
                    self.wfile.write(chunk)
            except OSError:  # the reader has enough
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            """Nothing: the API server's own log has it."""

    return Handler
