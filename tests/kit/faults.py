"""What an API, or whatever stands in its place, can do to one exchange.

A fault is a function of the exchange. `api.plan("results", fault, times=2)` lets the next two results meet it; a storm
draws them by chance. Faults of the way there (refused, a full backlog) are `api.refuse()` and `api.stall()`.
"""

import gzip
import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio

from tests.kit.wire import Answer, Connection, Request

REFUSED = {"/agent/results": {400, 404, 409, 422}, "/executor/results": {400, 403, 409, 422}}
"""Statuses that mean one result, for good. On the stream an unknown id is 403, and a token that isn't taken is 401."""

HTML = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>"
HUGE_BYTES = 50 * 1024 * 1024

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n"
CONNECTED = b'event: connected\r\ndata: {"status": "connected"}\r\n\r\n'
"""What a stream begins with."""


@dataclass
class Exchange:
    """One request and what the API would do with it."""

    connection: Connection
    request: Request
    proceed: Callable[[bytes], Awaitable[Answer]]
    """Do what was asked, with the body: hand out commands, store a result. Returns the answer."""
    reject: Callable[[bytes], None]
    """Remember that the result in this body was refused for good."""

    async def answer(self) -> Answer:
        """Do what was asked and return what would be answered."""
        return await self.proceed(await self.connection.body())

    async def refuse(self, status: int) -> None:
        """Do nothing, and remember it where this status means the result for good."""
        body = await self.connection.body()
        if status in REFUSED.get(self.request.path, ()):
            self.reject(body)


Fault = Callable[[Exchange], Awaitable[None]]


async def reset_before_body(exchange: Exchange) -> None:
    """Reset as soon as the headers are read."""
    exchange.connection.reset()


async def reset_after_body(exchange: Exchange) -> None:
    """Reset with everything read and nothing done."""
    await exchange.connection.body()
    exchange.connection.reset()


async def answer_lost(exchange: Exchange) -> None:
    """Do what was asked; the answer doesn't get through."""
    await exchange.answer()
    exchange.connection.reset()


async def answer_torn(exchange: Exchange) -> None:
    """Do what was asked; the connection ends in the middle of the answer."""
    answer = await exchange.answer()
    await exchange.connection.send(answer.head + answer.body[: len(answer.body) // 2])
    exchange.connection.reset()


def status(number: int, *, words: str = "no", **headers: str) -> Fault:
    """An answer with this status. Nothing is done."""

    async def fault(exchange: Exchange) -> None:
        await exchange.refuse(number)
        bare = number == 204  # which can't have a body
        await exchange.connection.answer(Answer(204) if bare else Answer.json({"detail": words}, number, **headers))

    return fault


async def early_413(exchange: Exchange) -> None:
    """What proxies do: answer before the body is read, and close."""
    await exchange.connection.send(Answer.json({"detail": "too large"}, 413, connection="close").head)
    exchange.connection.reset()


def html(number: int = 200) -> Fault:
    """A page for a browser."""

    async def fault(exchange: Exchange) -> None:
        await exchange.connection.body()
        await exchange.connection.answer(Answer(number, HTML, {"content-type": "text/html"}))

    return fault


async def redirect(exchange: Exchange) -> None:
    """To where the token mustn't go."""
    await exchange.connection.body()
    await exchange.connection.answer(Answer(307, b"", {"location": "http://127.0.0.1:9/evil"}))


async def garbage(exchange: Exchange) -> None:
    """Bytes that aren't HTTP."""
    await exchange.connection.body()
    await exchange.connection.send(b"\x00\xff\xfeSSH-2.0-OpenSSH_9.2p1\r\n\r\n" * 3)
    exchange.connection.reset()


def says(body: bytes, **headers: str) -> Fault:
    """Exactly this body."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}

    async def fault(exchange: Exchange) -> None:
        await exchange.connection.body()
        await exchange.connection.answer(Answer(200, body, {"content-type": "application/json", **named}))

    return fault


async def plain_404(exchange: Exchange) -> None:
    """As an ingress without a backend says."""
    await exchange.connection.body()
    await exchange.connection.answer(Answer(404, b"default backend - 404", {"content-type": "text/plain"}))


def holds(commands: list[Any]) -> Fault:
    """These commands, whatever they are, all at once. As a stream it ends after them."""

    async def fault(exchange: Exchange) -> None:
        if exchange.request.path == "/executor/stream":
            await sends(b"".join(event(json.dumps(command).encode()) for command in commands))(exchange)
        else:
            await says(json.dumps({"commands": commands}).encode())(exchange)

    return fault


async def bad_chunks(exchange: Exchange) -> None:
    """Chunks of a length that is no number."""
    await exchange.connection.body()
    await exchange.connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")
    exchange.connection.reset()


async def hang_in_headers(exchange: Exchange) -> None:
    """Never an answer."""
    await exchange.connection.body()
    await trio.sleep(math.inf)


async def hang_in_body(exchange: Exchange) -> None:
    """Half an answer, and then nothing."""
    await exchange.connection.body()
    await exchange.connection.send(Answer(200, b'{"commands": []}').head + b'{"comm')
    await trio.sleep(math.inf)


async def trickle(exchange: Exchange) -> None:
    """A byte now and then, for ever."""
    await exchange.connection.body()
    await exchange.connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        await exchange.connection.send(b" ")
        await trio.sleep(0.02)


async def slow(exchange: Exchange) -> None:
    """Right, but byte by byte."""
    answer = await exchange.answer()
    for byte in answer.head + answer.body:
        await exchange.connection.send(bytes([byte]))
        await trio.sleep(0.0005)
    exchange.connection.reset()


async def huge(exchange: Exchange) -> None:
    """50 MB of JSON that begins as it should."""
    await exchange.connection.body()
    await exchange.connection.send(f'HTTP/1.1 200 OK\r\ncontent-length: {HUGE_BYTES}\r\n\r\n{{"commands": ['.encode())
    for _ in range(HUGE_BYTES // 65536):
        await exchange.connection.send(b" " * 65536)


def event(data: bytes, name: bytes = b"command") -> bytes:
    """One event of a stream."""
    return b"event: " + name + b"\r\ndata: " + data + b"\r\n\r\n"


def sends(first: bytes, *, huge: bool = False, filler: bytes = b"x" * 65536) -> Fault:
    """A stream that begins with these bytes, and 50 MB more if `huge`. What was asked follows, and the end."""

    async def fault(exchange: Exchange) -> None:
        answer = await exchange.answer()
        await exchange.connection.send(HEAD + first)
        if huge:
            chunk = filler * (65536 // len(filler))
            for _ in range(HUGE_BYTES // len(chunk)):
                await exchange.connection.send(chunk)
            await exchange.connection.send(b"\r\n\r\n")
        await exchange.connection.send(answer.body)

    return fault


async def in_pieces(exchange: Exchange) -> None:
    """A stream in packets of three bytes, which cut everything that there is to cut. Then its end."""
    answer = await exchange.answer()
    wire = HEAD + answer.body
    for at in range(0, len(wire), 3):
        await exchange.connection.send(wire[at : at + 3])
        await trio.sleep(0.0005)


async def half_an_event(exchange: Exchange) -> None:
    """A stream that ends within its last event."""
    answer = await exchange.answer()
    await exchange.connection.send(HEAD + answer.body[:-3])


async def silent(exchange: Exchange) -> None:
    """A stream that begins well. Then the way is cut half-way: neither a byte nor an end."""
    await exchange.answer()
    await exchange.connection.send(HEAD + CONNECTED)
    await trio.sleep(math.inf)


async def head_alone(exchange: Exchange) -> None:
    """As through a proxy that buffers."""
    await exchange.connection.send(HEAD)
    await trio.sleep(math.inf)


ANYWHERE: dict[str, Fault] = {
    "reset before the body": reset_before_body,
    "reset after the body": reset_after_body,
    "answer torn": answer_torn,
    "500": status(500),
    "502 in HTML": html(502),
    "503": status(503),
    "503 with Retry-After": status(503, retry_after="1"),
    "504": status(504),
    "429 with Retry-After": status(429, retry_after="1"),
    "401": status(401),
    "403": status(403),
    "hang in the headers": hang_in_headers,
    "hang in the body": hang_in_body,
    "garbage": garbage,
    "bad chunks": bad_chunks,
    "HTML": html(),
    "redirect": redirect,
    "trickle": trickle,
    "slow": slow,
}
"""For any request. Afterwards everything goes on, and nothing is lost."""

TO_COMMANDS: dict[str, Fault] = {
    "commands lost on the way": answer_lost,
    "not an object": says(b"[1, 2]"),
    "no list": says(b'{"commands": 5}'),
    "no JSON": says(b'{"commands": [{"id": "x", '),
    "deep JSON": says(b"[" * 100_000),
    "a long number": says(b'{"commands": [' + b"9" * 6000 + b"]}"),
    "no UTF-8": says(b'{"commands": ["\xff\xfe"]}'),
    "nothing at all": says(b""),
    "zipped": says(gzip.compress(b'{"commands": []}', mtime=0), content_encoding="gzip"),
    "50 MB": huge,
    "404": status(404),
}
"""For a poll."""

TO_STREAMS: dict[str, Fault] = {
    "a head alone": head_alone,
    "commands lost on the way": answer_lost,
    "not an object": sends(event(b"[1, 2]")),
    "no JSON": sends(event(b'{"id": "x", ')),
    "deep JSON": sends(event(b"[" * 100_000)),
    "a long number": sends(event(b"9" * 6000)),
    "no UTF-8": sends(event(b'{"id": "\xff\xfe"}')),
    "no data": sends(b"event: command\r\n\r\nevent: command\r\ndata\r\n\r\n"),
    "other events": sends(
        b"event: shutdown\r\ndata: now\r\n\r\nretry: 1\r\n\r\nid: \0\r\n\r\n" + event(b"{}", b"Command")
    ),
    "other line ends": sends(b"\xef\xbb\xbf:\r\r\n\ndata: 1\n\revent:command\rdata:{\rdata:}\r\n\r"),
    "a comment of 50 MB": sends(b":", huge=True),
    "an event of 50 MB": sends(b"event: command\r\ndata: ", huge=True),
    "an event of 50 MB of lines": sends(b"event: command\r\n", huge=True, filler=b"data: " + b"x" * 120 + b"\r\n"),
    "in pieces": in_pieces,
    "half an event": half_an_event,
    "silent": silent,
    "ended at once": says(b"", content_type="text/event-stream"),
    "JSON": says(b'{"commands": []}'),
    "zipped": says(
        gzip.compress(b": ping\r\n\r\n", mtime=0), content_type="text/event-stream", content_encoding="gzip"
    ),
    "204": status(204),
    "404": status(404),
}
"""For a stream. Another one is opened after it, if it ends."""

TO_RESULTS: dict[str, Fault] = {
    "stored, answer lost": answer_lost,
    "408": status(408),
    "425": status(425),
    "yes": says(b"OK", content_type="text/plain"),
    "half an answer": says(b'{"status": '),
    "another's acknowledgement": says(b'{"status": "accepted", "command_id": "another"}'),
    "403 in HTML": html(403),
    "404 of a default backend": plain_404,
}
"""For a result, which is sent again after it."""

REJECTING: dict[str, dict[str, Fault]] = {
    link: {str(number): status(number) for number in sorted(REFUSED[path])}
    for link, path in (("poll", "/agent/results"), ("stream", "/executor/results"))
}
"""For a result, which is then `rejected`, by link."""
