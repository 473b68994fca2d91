"""A stand-in for what a kubelet answers: the logs of its containers, over HTTPS on loopback."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import trustme


class Kubelet:
    """Serves `/containerLogs/NAMESPACE/POD/CONTAINER` to the API server, which `kubectl logs` asks.

    `logs` holds the lines of each; others are answered with 404, as a kubelet does. `tailLines` is honoured.
    """

    def __init__(self, ca: trustme.CA) -> None:
        self.logs: dict[tuple[str, str, str], list[str]] = {}
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert("127.0.0.1").configure_cert(context)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
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

    def answer(self, target: str) -> tuple[int, bytes]:
        """The status and body for one request's target."""
        url = urlsplit(target)
        _, _, namespace, pod, container = url.path.split("/")
        lines = self.logs.get((namespace, pod, container))
        if lines is None:
            return 404, b"no such container\n"
        (tail,) = parse_qs(url.query).get("tailLines", [""])
        kept = lines[-int(tail) :] if tail else lines
        return 200, "".join(f"{line}\n" for line in kept).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        kubelet = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = kubelet.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Nothing: the API server's own log has it."""

        return Handler
