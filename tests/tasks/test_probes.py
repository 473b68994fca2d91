"""The pages, over real sockets; the spool and kubectl behind them are stand-ins."""

import contextlib
import math
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from agent.circuit import Circuit
from agent.errors import ConfigError, KubectlError, LinkDown, SpoolError, SpoolFull
from agent.metrics import Metrics
from agent.probes import Probes, probes, server
from agent.spool import Counts, Recovery

MIB = 1 << 20
COUNTS = Counts(
    accepted=1,
    running=2,
    pending=3,
    pending_bytes=4096,
    oldest_pending_age_seconds=5.5,
    delivered=6,
    rejected=7,
    size_bytes=8 * MIB,
    capacity_bytes=64 * MIB,
    free_bytes=40 * MIB,
    full_because=None,
)


class FakeSpool:
    def __init__(self) -> None:
        self.recovery = Recovery(rerun=2, interrupted=1)
        self.found: Counts | Exception = COUNTS
        self.fault: Exception | None = None
        self.hangs = False
        self.writes = 0

    async def counts(self) -> Counts:
        if self.hangs:
            await trio.sleep_forever()
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    async def try_write(self) -> None:
        self.writes += 1
        if self.hangs:
            await trio.sleep_forever()
        if self.fault is not None:
            raise self.fault


class FakeKubectl:
    def __init__(self) -> None:
        self.trouble: str | None = None
        self.children = ()
        self.fault: Exception | None = None
        self.runs = 0

    async def version(self) -> str:
        self.runs += 1
        if self.fault is not None:
            raise self.fault
        return "v1.37.1"


class Bench:
    """Everything around the pages, and a client."""

    def __init__(self) -> None:
        self.spool: Any = FakeSpool()
        self.kubectl: Any = FakeKubectl()
        self.outage = Circuit(lambda: 0.5, int)
        self.outage.succeeded()
        self.metrics = Metrics()
        self.probes = self.made()
        self.port = 0

    def made(self, address: tuple[str, int] = ("127.0.0.1", 0)) -> Probes:
        return Probes(address, self.outage, self.metrics, self.spool, self.kubectl)

    async def raw(self, *pieces: bytes) -> bytes:
        """What comes back for these bytes."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with stream:
            for piece in pieces:
                await stream.send_all(piece)
            return b"".join([chunk async for chunk in stream])

    async def get(self, target: str, method: str = "GET") -> tuple[int, str]:
        """Status and body."""
        answer = await self.raw(f"{method} {target} HTTP/1.1\r\nHost: agent\r\n\r\n".encode())
        head, _, body = answer.decode().partition("\r\n\r\n")
        lengths = [int(line.split(": ")[1]) for line in head.split("\r\n") if line.startswith("Content-Length")]
        assert lengths == [len(body.encode())]
        return int(head.split()[1]), body

    async def settled(self) -> None:
        """Wait until what is looked at in the background has been looked at."""
        with trio.fail_after(60):
            while "not looked at yet" in (await self.get("/readyz"))[1]:  # nothing else tells
                await trio.sleep(0.005)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    async with trio.open_nursery() as nursery:
        made.port = await nursery.start(made.probes.serve)
        await made.settled()
        yield made
        nursery.cancel_scope.cancel()


# Alive


async def test_alive(bench: Bench):
    assert await bench.get("/livez") == (200, "ok\n")


async def test_alive_whatever_else_is_wrong(bench: Bench):
    """A restart mends none of these, and the results are here."""
    bench.spool.fault = bench.spool.found = SpoolError("broken")
    bench.spool.hangs = True
    bench.kubectl.trouble = "gone"
    bench.outage.failed(LinkDown("connection refused"))
    bench.probes.draining = True
    assert await bench.get("/livez") == (200, "ok\n")


async def test_a_task_that_doesnt_turn_is_named(bench: Bench):
    bench.metrics.alive_until |= {"poller": math.inf, "maintenance": trio.current_time() - 60}
    assert await bench.get("/livez") == (503, "maintenance should have turned 60 s ago\n")
    bench.metrics.alive_until["maintenance"] += 120
    assert await bench.get("/livez") == (200, "ok\n")


# Ready


async def test_ready(bench: Bench):
    assert await bench.get("/readyz") == (200, "ok\n")
    assert await bench.get("/readyz?verbose") == (
        200,
        "[+] spool: 8 MiB of 64 MiB used, 3 results waiting\n[+] kubectl: v1.37.1\n[+] api: answered 0 s ago\nready\n",
    )


async def test_before_the_api_was_reached():
    fresh = Bench()
    fresh.outage = Circuit(lambda: 0.5, int)
    fresh.probes = fresh.made()
    async with trio.open_nursery() as nursery:
        fresh.port = await nursery.start(fresh.probes.serve)
        status, body = await fresh.get("/readyz")
        assert (status, "[-] api: not reached yet\n" in body) == (503, True)
        assert "kubently_api_up 0\n" in (await fresh.get("/metrics"))[1]
        nursery.cancel_scope.cancel()


async def test_the_api_was_reached_lately_enough(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    bench.outage.failed(LinkDown("connection refused"))
    status, body = await bench.get("/readyz?verbose")
    assert status == 200
    assert "[+] api: answered 0 s ago; away for 0 s: connection refused\n" in body
    monkeypatch.setattr(probes, "LATELY_SECONDS", -1.0)
    assert (await bench.get("/readyz"))[0] == 503


async def test_kubectl_that_couldnt_be_started(bench: Bench):
    bench.kubectl.trouble = "/usr/bin/kubectl can't be started: it isn't there any more"
    status, body = await bench.get("/readyz")
    assert status == 503
    assert "[-] kubectl: /usr/bin/kubectl can't be started: it isn't there any more\n" in body
    bench.kubectl.trouble = None
    assert (await bench.get("/readyz"))[0] == 200


async def test_a_spool_without_room(bench: Bench):
    bench.spool.found = Counts(**{**{n: getattr(COUNTS, n) for n in COUNTS.__slots__}, "full_because": "a reason"})
    status, body = await bench.get("/readyz")
    assert status == 503
    assert "[-] spool: full, no commands are taken: a reason; 8 MiB of 64 MiB used, 3 results waiting\n" in body
    assert "kubently_spool_full 1\n" in (await bench.get("/metrics"))[1]


async def test_a_spool_that_fails(bench: Bench):
    bench.spool.found = SpoolError("The spool is closed.")
    status, body = await bench.get("/readyz")
    assert (status, "[-] spool: The spool is closed.\n" in body) == (503, True)


async def test_a_spool_that_hangs(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(probes, "SPOOL_SECONDS", 0.05)
    bench.spool.hangs = True
    assert "[-] spool: doesn't answer\n" in (await bench.get("/readyz"))[1]
    status, body = await bench.get("/metrics")
    assert status == 200
    assert "kubently_spool_up 0\n" in body
    assert "kubently_spool_size_bytes" not in body


async def test_stopping(bench: Bench):
    assert not bench.probes.draining
    bench.probes.draining = True
    assert bench.probes.draining
    status, body = await bench.get("/readyz")
    assert (status, "[-] running: the agent is stopping\n" in body) == (503, True)


# What is tried


async def test_kubectl_that_fails_is_tried_soon_and_told_once(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
):
    told = []
    monkeypatch.setattr(probes.log, "error", lambda event, **fields: told.append((event, fields)))
    bench = Bench()
    bench.kubectl.fault = KubectlError("missing")
    looked = bench.probes
    async with trio.open_nursery() as nursery:
        nursery.start_soon(looked.try_kubectl)
        await trio.sleep(25)
        assert (await looked.look())[0]["kubectl"] == (False, "missing")
        bench.kubectl.fault = None
        await trio.sleep(1000)
        assert (await looked.look())[0]["kubectl"] == (True, "v1.37.1")
        assert bench.kubectl.runs == 4
        bench.kubectl.trouble = "it can't be started"
        assert (await looked.look())[0]["kubectl"] == (False, "it can't be started")
        await trio.sleep(10)
        assert bench.kubectl.runs == 5
        nursery.cancel_scope.cancel()
    assert told == [("not ready", {"check": "kubectl", "reason": "missing", "todo": None})]


async def test_a_spool_that_cant_be_written_isnt_ready(autojump_clock: trio.testing.MockClock):
    """It is tried now and then while it can be, and by each page while it can't."""
    bench = Bench()
    looked = bench.probes
    for _ in range(3):
        assert (await looked.look())[0]["spool"][0]
    assert bench.spool.writes == 1
    bench.spool.fault = SpoolFull("The disk is read-only")
    await trio.sleep(probes.WRITE_AGAIN_SECONDS)
    for _ in range(3):
        checks, counts = await looked.look()
        assert checks["spool"] == (False, "The disk is read-only")
        assert counts is COUNTS
    assert bench.spool.writes == 4


# Metrics


async def test_metrics(bench: Bench):
    bench.metrics.count("kubently_commands_accepted_total")
    status, body = await bench.get("/metrics")
    assert status == 200
    for line in (
        "kubently_commands_accepted_total 1",
        'kubently_ready{check="spool"} 1',
        "kubently_api_up 1",
        "kubently_api_outage_seconds 0.0",
        "kubently_kubectl_running 0",
        'kubently_recovered_commands_total{outcome="rerun"} 2',
        'kubently_spool_commands{state="running"} 2',
        'kubently_spool_commands{state="spooled"} 3',
        "kubently_spool_pending_results 3",
        "kubently_spool_pending_bytes 4096",
        "kubently_spool_oldest_pending_age_seconds 5.5",
        f"kubently_spool_capacity_bytes {64 * MIB}",
        f"kubently_spool_free_bytes {40 * MIB}",
        "kubently_spool_full 0",
        "kubently_spool_moved_aside 0",
    ):
        assert f"\n{line}\n" in body
    assert 'kubectl="v1.37.1"' in body
    assert "process_resident_memory_bytes" in body


async def test_an_outage_is_seen(bench: Bench):
    bench.outage.failed(LinkDown("connection refused"))
    body = (await bench.get("/metrics"))[1]
    assert "kubently_api_up 0\n" in body
    assert "kubently_api_last_success_timestamp_seconds 1" in body


# HTTP


async def test_pages_that_are_there_and_are_not(bench: Bench):
    status, body = await bench.get("/nothing")
    assert (status, "/readyz" in body) == (404, True)
    assert (await bench.get("/livez", "POST"))[0] == 400


async def test_a_request_in_small_pieces(bench: Bench):
    answer = await bench.raw(b"G", b"ET /live", b"z HTTP/1.1\r\nHost", b": x\r\n\r", b"\n")
    assert answer.endswith(b"\r\n\r\nok\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /livez\r\n\r\n", 400),
        (b"GET /livez FTP/1.0\r\n\r\n", 400),
        (b"GET /livez HTTP/2.0\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /" + b"x" * server.HEAD_BYTES, 400),
        (b"POST /livez HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 400),
    ],
)
async def test_garbage_is_answered_and_does_no_harm(bench: Bench, sent: bytes, status: int):
    assert (await bench.raw(sent)).startswith(f"HTTP/1.1 {status} ".encode())
    assert (await bench.get("/livez"))[0] == 200


async def test_tls_on_a_plain_port(bench: Bench):
    context = ssl.create_default_context()
    stream = await trio.open_tcp_stream("127.0.0.1", bench.port)
    async with trio.SSLStream(stream, context, server_hostname="agent") as tls:
        with pytest.raises(trio.BrokenResourceError):
            await tls.do_handshake()
    assert (await bench.get("/livez"))[0] == 200


async def test_clients_that_go_away(bench: Bench):
    for sent in (b"", b"GET", b"GET /metrics HTTP/1.1\r\n\r\n"):
        stream = await trio.open_tcp_stream("127.0.0.1", bench.port)
        stream.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER 0: a reset instead of an end
        await stream.send_all(sent)
        await trio.aclose_forcefully(stream)
    assert (await bench.get("/livez"))[0] == 200


async def test_a_slow_client_is_dropped(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.05)
    stream = await trio.open_tcp_stream("127.0.0.1", bench.port)
    async with stream:
        await stream.send_all(b"GET /live")
        with contextlib.suppress(trio.BrokenResourceError):  # if it was dropped before these bytes were read
            assert await stream.receive_some() == b""


async def test_a_client_that_doesnt_take_its_answer_is_dropped(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(bench.metrics, "render", lambda: "x" * (32 * MIB))
    stream = await trio.open_tcp_stream("127.0.0.1", bench.port)
    async with stream:
        await stream.send_all(b"GET /metrics HTTP/1.1\r\n\r\n")
        await trio.sleep(0.3)
        received = 0
        with contextlib.suppress(trio.BrokenResourceError):
            async for chunk in stream:
                received += len(chunk)
        assert received < 32 * MIB


async def test_many_idle_connections_cant_keep_a_probe_out(bench: Bench):
    idle = [await trio.open_tcp_stream("127.0.0.1", bench.port) for _ in range(3 * server.CONNECTIONS)]
    for stream in idle:
        await stream.send_all(b"GET /livez HTTP/1.1\r\n")
    assert await bench.get("/livez") == (200, "ok\n")
    for stream in idle:
        await trio.aclose_forcefully(stream)


async def test_many_at_once(bench: Bench):
    answers = []

    async def ask() -> None:
        answers.append(await bench.get("/livez"))

    async with trio.open_nursery() as nursery:
        for _ in range(server.CONNECTIONS):
            nursery.start_soon(ask)
    assert answers == [(200, "ok\n")] * server.CONNECTIONS


async def test_a_page_that_cant_be_made(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    bench.metrics.alive_until["a mistake"] = None  # type: ignore[assignment]  # that is the mistake
    assert await bench.get("/livez") == (500, "Look into the agent's log.\n")
    assert (await bench.get("/readyz"))[0] == 200


async def test_too_many_open_files_is_waited_out(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    faults = iter([OSError(24, "Too many open files")] * 2)
    accept = trio.SocketListener.accept

    async def sometimes(listener: trio.SocketListener) -> trio.SocketStream:
        if (fault := next(faults, None)) is not None:
            raise fault
        return await accept(listener)

    monkeypatch.setattr(trio.SocketListener, "accept", sometimes)
    for _ in range(3):
        assert await bench.get("/livez") == (200, "ok\n")
    assert next(faults, None) is None


# The address


async def serve(address: tuple[str, int]) -> None:
    task = Bench().made(address)
    async with trio.open_nursery() as nursery:
        await nursery.start(task.serve)
        nursery.cancel_scope.cancel()


async def test_a_port_that_is_taken(bench: Bench):
    with pytest.RaisesGroup(ConfigError) as caught:
        await serve(("127.0.0.1", bench.port))
    assert str(caught.value.exceptions[0]).startswith(
        f"KUBENTLY_HEALTH_ADDRESS: 127.0.0.1:{bench.port} can't be opened: Address already in use. Name an address"
    )


async def test_an_address_of_another_machine():
    with pytest.RaisesGroup(pytest.RaisesExc(ConfigError, match="Cannot assign requested address")):
        await serve(("192.0.2.1", 0))


async def test_a_name_that_isnt_known():
    with pytest.RaisesGroup(pytest.RaisesExc(ConfigError, match=r"KUBENTLY_HEALTH_ADDRESS: no\.such\.invalid:0")):
        await serve(("no.such.invalid", 0))
