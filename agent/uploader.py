"""Delivers results from the spool to the API, oldest first; several at a time, but only one large one.

A result is delivered when the API has said so itself, and not before. After a failure nothing is sent until the API has
been recognised (see `agent.circuit.Trust`): then the failure was that result's own, and it alone waits, longer each
time. One that never gets through is cut if it may be too large, else set aside where people see it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import trio

from agent.circuit import RETRY_AFTER_CAP_SECONDS, Trust, backoff
from agent.errors import DamagedResult, SpoolFull
from agent.link import Link, Reply, Verdict
from agent.log import Log
from agent.metrics import Metrics
from agent.spool import SMALL_BYTES, Delivery, Spool

log = Log("uploader")

FIRST_CUT_BYTES, LAST_CUT_BYTES = 900_000, 1024
"""What a result that is too large is cut to first: common proxies take bodies of 1 MB by default. One that is too large
even at the last size is refused for good."""
REFUSALS = 8
"""How often a result is sent that is answered but not accepted while polls go well, as when a firewall dislikes its
text. With the pauses in between that takes one or two minutes."""
BREAKS, BREAKS_OF_SMALL = 6, 16
"""How often sending a large result may break off, while polls go well, before it counts as too large; and sending a
small one, while other results get through, before it is set aside."""
CUT_SHORT = frozenset({None, 502})
"""What may mean that a body is too large for something on the way: no answer, or a proxy's own. An API that answers
500, 503 or 504 is in trouble itself: then nothing is cut, however long that lasts."""
THROTTLED = frozenset({408, 425, 429})  # statuses that say nothing about the result itself
RETRY_SPOOL_SECONDS = 1.0  # after which a spool that failed is used again


@dataclass(slots=True)
class Trouble:
    """The failures of one result since it was first sent or cut. Kept in memory only."""

    taken_before: int  # how many results had been taken when it began
    refusals: int = 0
    breaks: int = 0  # of a large one those that may be about its size


class Uploader:
    """The delivery tasks: each `run` is one of several senders. `random` draws uniformly from [0, 1)."""

    def __init__(self, link: Link, spool: Spool, trust: Trust, metrics: Metrics, random: Callable[[], float]) -> None:
        self._link = link
        self._spool = spool
        self._trust = trust
        self._metrics = metrics
        self._random = random
        self._troubles: dict[int, Trouble] = {}
        self._taken = 0

    async def run(self, *, small: bool = False) -> None:
        """Deliver what is due, for ever. `small`: only small results, which overtake a large one."""
        due, failing = self._spool.due_small if small else self._spool.due, False
        while True:
            await due.wait()
            await self._trust.wait()
            try:
                await self._deliver_one(SMALL_BYTES if small else math.inf)
                failing = False
            except DamagedResult as error:  # an error takes its place, once the disk takes that, and is sent instead
                log.debug("damaged result not sent", reason=error.problem)
                await trio.sleep(RETRY_SPOOL_SECONDS)
            except SpoolFull as error:
                if not failing:
                    log.error("results can't be read or marked, trying again", reason=str(error))
                failing = True
                await trio.sleep(RETRY_SPOOL_SECONDS)

    async def _deliver_one(self, most_bytes: float) -> None:
        delivery = await self._spool.take(most_bytes)
        if delivery is None:
            return
        try:
            reply = await self._link.deliver(delivery)
        except BaseException:
            self._spool.release(delivery.seq)
            raise
        self._metrics.count("kubently_uploads_total", reply.verdict)
        with trio.CancelScope(shield=True):  # what the API has said is written down, even during a stop
            await self._settle(delivery, reply)

    async def _settle(self, delivery: Delivery, reply: Reply) -> None:
        if reply.verdict is Verdict.LATER:
            self._trust.doubt(reply.words, reply.retry_after)
        match self._verdict(delivery, reply):
            case Verdict.LATER:
                self._postpone(delivery, reply)
                return
            case Verdict.STORED:
                self._taken += 1
                self._spool.delivered(delivery.seq, reply.status or 0)
                log.info("result delivered", attempts=delivery.attempts, **_names(delivery))
            case Verdict.TOO_LARGE if max(map(delivery.json_bytes, delivery.output)) > LAST_CUT_BYTES:
                await self._cut(delivery, reply)
            case _:
                self._spool.rejected(delivery.seq, reply.status or 0, reply.words)
                told = {"status": reply.status, "reason": reply.words}
                log.warning("result refused by the API, kept", **told, **_names(delivery))
        self._troubles.pop(delivery.seq, None)

    def _verdict(self, delivery: Delivery, reply: Reply) -> Verdict:
        """The API's; or, of a result that fails again and again while others don't, what that means for it alone."""
        if reply.verdict is not Verdict.LATER:
            return reply.verdict
        trouble = self._troubles.setdefault(delivery.seq, Trouble(self._taken))
        if reply.status is None or reply.status >= 500:
            large = sum(map(delivery.json_bytes, delivery.output)) > SMALL_BYTES
            trouble.breaks += not large or reply.status in CUT_SHORT
            if large:
                return Verdict.TOO_LARGE if trouble.breaks >= BREAKS else Verdict.LATER
            given_up = trouble.breaks >= BREAKS_OF_SMALL and self._taken > trouble.taken_before
        else:
            trouble.refusals += reply.status not in THROTTLED
            given_up = trouble.refusals >= REFUSALS
            if trouble.refusals == 1:
                log.warning("result not taken, sent again later", reason=reply.words, **_names(delivery))
        return Verdict.REFUSED if given_up else Verdict.LATER

    def _postpone(self, delivery: Delivery, reply: Reply) -> None:
        alone = reply.status is not None or delivery.attempts > 1  # it may just have been the first to meet an outage
        seconds = backoff(delivery.attempts + 1, self._random) if alone else 0.0
        seconds = max(seconds, min(reply.retry_after or 0.0, RETRY_AFTER_CAP_SECONDS))
        self._spool.postponed(delivery.seq, seconds, reply.status, reply.words)
        log.debug("result postponed", reason=reply.words, seconds=seconds, **_names(delivery))

    async def _cut(self, delivery: Delivery, reply: Reply) -> None:
        larger = max(delivery.output, key=delivery.json_bytes)
        size, stored = delivery.json_bytes(larger), delivery.output[larger].bytes
        # What is cut are bytes of text, and what was too large is JSON, where a control character takes six.
        most = stored * FIRST_CUT_BYTES // size if size > 2 * FIRST_CUT_BYTES else stored // 2
        await self._spool.cut(delivery.seq, most)
        words = {"reason": reply.words, "bytes": size, "cut_to_bytes": most}
        log.warning("result too large on its way, cut", **words, **_names(delivery))


def _names(delivery: Delivery) -> dict[str, str | None]:
    return {name: getattr(delivery, name) for name in ("command_id", "correlation_id", "session_id")}
