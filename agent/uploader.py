"""Delivers results from the spool to the API, oldest first, several at a time.

A result is delivered when the API has said so with a 2xx, and not before. While the API is away all wait together, and
one at a time finds out (see `agent.reach`). A result that the API refuses is set aside, visible, and holds up nobody.
"""

from collections.abc import Callable

import trio

from agent.errors import SpoolFull
from agent.link import Link, Reply, Verdict
from agent.log import Log
from agent.metrics import Metrics
from agent.outage import backoff
from agent.reach import Reach
from agent.spool import Delivery, Spool

log = Log("uploader")

FIRST_CUT_BYTES = 900_000
"""What a result that is too large is cut to first: common proxies take bodies of 1 MB by default."""

LAST_CUT_BYTES = 1024
"""A result that is too large even at this size is refused for good."""

SHARED_STATUSES = frozenset({401, 403})
"""Statuses that speak of the agent, not of a result: the outage makes everybody wait, so the result itself needn't.
With any other a result waits by itself too: polls that go well end the outage, and each would have it sent again."""

DRAIN_LOOK_SECONDS = 0.2
"""How often a sender that has nothing to do looks whether the drain is over."""

RETRY_SPOOL_SECONDS = 1.0
"""How long to wait after the spool failed, before it is used again."""


class Uploader:
    """One of several senders. `random` gives uniform draws from [0, 1)."""

    def __init__(
        self, link: Link, spool: Spool, reach: Reach, *, metrics: Metrics, random: Callable[[], float]
    ) -> None:
        self._link = link
        self._spool = spool
        self._reach = reach
        self._metrics = metrics
        self._random = random
        self._draining = False
        self._waiting = trio.CancelScope()

    def drain(self) -> None:
        """From now on `run` ends as soon as everything is delivered."""
        self._draining = True
        self._waiting.cancel()

    async def run(self) -> None:
        """Deliver what is due, until `drain`."""
        failing = False
        while not (self._draining and self._spool.pending == 0):
            with trio.CancelScope() as self._waiting:
                if self._draining:  # somebody else may deliver the last one, which wakes nobody here
                    self._waiting.deadline = trio.current_time() + DRAIN_LOOK_SECONDS
                await self._spool.due.wait()
            if self._waiting.cancelled_caught:
                continue
            try:
                await self._deliver_one()
                failing = False
            except SpoolFull as error:
                if not failing:
                    log.error("results can't be read or marked, trying again", reason=str(error))
                failing = True
                await trio.sleep(RETRY_SPOOL_SECONDS)

    async def _deliver_one(self) -> None:
        async with self._reach.turn() as attempt:
            delivery = await self._spool.take()
            if delivery is None:
                return
            try:
                reply = await self._link.deliver(delivery)
            except BaseException:
                self._spool.release(delivery.seq)
                raise
            self._metrics.upload(reply.verdict)
            if reply.verdict is Verdict.LATER:
                attempt.failed(reply.words, retry_after=reply.retry_after)
            else:
                attempt.succeeded()
        with trio.CancelScope(shield=True):  # what the API has said is written down, even during a stop
            await self._settle(delivery, reply, probe=attempt.probe)

    async def _settle(self, delivery: Delivery, reply: Reply, *, probe: bool) -> None:
        status = reply.status or 0
        if reply.verdict is Verdict.STORED:
            self._spool.delivered(delivery.seq, status)
            log.info("result delivered", attempts=delivery.attempts, **_names(delivery))
        elif reply.verdict is Verdict.TOO_LARGE:
            await self._cut(delivery, reply)
        elif reply.verdict is Verdict.REFUSED:
            await self._reject(delivery, reply)
        else:
            seconds = 0.0
            if reply.status is not None and reply.status not in SHARED_STATUSES:
                # Longer than the outage that this begins, or it would be the one that is tried next, again and again.
                seconds = backoff(delivery.attempts + 1, self._random, self._link.pause_seconds)
            elif reply.status is None and not probe and delivery.attempts > 1:
                # The API was there a moment ago, and this one was lost on its way before. It may be the one that never
                # gets through, such as 10 MB on a bad link: the next in line must have their turn.
                seconds = backoff(delivery.attempts - 1, self._random, self._link.pause_seconds)
            self._spool.postponed(delivery.seq, seconds, reply.status, reply.words)
            log.debug("result postponed", reason=reply.words, seconds=seconds, **_names(delivery))

    async def _cut(self, delivery: Delivery, reply: Reply) -> None:
        larger = max(delivery.output, key=delivery.json_bytes)
        size, stored = delivery.json_bytes(larger), delivery.output[larger].bytes
        if size <= LAST_CUT_BYTES:
            await self._reject(delivery, reply)
            return
        # What is cut are bytes of text, and what was too large is JSON, where a control character takes six.
        most = stored * FIRST_CUT_BYTES // size if size > 2 * FIRST_CUT_BYTES else stored // 2
        await self._spool.cut(delivery.seq, most)
        log.warning("result too large for the API, cut", bytes=size, cut_to_bytes=most, **_names(delivery))

    async def _reject(self, delivery: Delivery, reply: Reply) -> None:
        self._spool.rejected(delivery.seq, reply.status or 0, reply.words)
        log.warning("result refused by the API, kept", status=reply.status, reason=reply.words, **_names(delivery))


def _names(delivery: Delivery) -> dict[str, str | None]:
    return {
        "command_id": delivery.command_id,
        "correlation_id": delivery.correlation_id,
        "session_id": delivery.session_id,
    }
