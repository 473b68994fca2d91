"""The circuit breaker of the API: when to ask again after a failure, and when to believe what answers.

After a failure nobody may ask until a delay is over, exponential with full jitter: after an outage of minutes the
attempts of 10,000 agents are spread evenly over the cap, and don't knock the API over again as it comes back.
"""

from collections.abc import Awaitable, Callable

import trio

from agent.errors import LinkDown, age
from agent.log import Log

FIRST_SECONDS, CAP_SECONDS = 1.0, 60.0  # the first delay's bound, which doubles with each failure, and its cap
RETRY_AFTER_CAP_SECONDS = 300.0  # a larger Retry-After is a mistake more often than a wish
REMIND_SECONDS = 60.0  # after which an outage is logged again; then after twice as long, and so on
LOOK_SECONDS, UNRECOGNISED_SECONDS = 1.0, 30.0
"""How long those who wait for the API to be recognised wait before they look again: while the poller fails, and after
an answer that may not have been the API's."""

log = Log("api")


def backoff(failures: int, random: Callable[[], float], cap: float = CAP_SECONDS) -> float:
    """The delay in seconds after so many failures in a row: uniform between 0 and min(cap, 2^(failures - 1))."""
    doublings = min(max(failures, 1) - 1, 32)  # 2^32 s is beyond any cap; the bound keeps the power finite
    return random() * min(cap, FIRST_SECONDS * float(2**doublings))


class Circuit:
    """Open from a failure to the next success. Outages are logged: of `what`, and how many results are `waiting`.

    `random` draws uniformly from [0, 1), `cap` is the longest delay chosen here, `now` a monotonic clock; in seconds.
    """

    def __init__(
        self,
        random: Callable[[], float],
        waiting: Callable[[], int],
        cap: float = CAP_SECONDS,
        what: str = "API",
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        self._random = random
        self._waiting = waiting
        self._cap = cap
        self._what = what
        self._now = now
        self._since: float | None = None
        self._not_before = self._remind_at = 0.0
        self.failures = 0
        self.reason: str | None = None
        self.last_success: float | None = None

    @property
    def down(self) -> bool:
        """Whether it is open: the last attempt failed."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """How long the outage has lasted; 0 without one."""
        return 0.0 if self._since is None else self._now() - self._since

    @property
    def pause(self) -> float:
        """Seconds until the next attempt may begin."""
        return max(0.0, self._not_before - self._now())

    def failed(self, down: LinkDown) -> None:
        """An attempt failed."""
        told = {"reason": down.problem, "results_waiting": self._waiting()}
        if self._since is None:
            self._since, self._remind_at = self._now(), REMIND_SECONDS
            todo = "`kubently-agent check` goes the way step by step" if self.last_success is None else down.hint
            event = f"{self._what} can't be reached"
            log.warning(event, **told, todo=todo or None)
        elif self.seconds >= self._remind_at:
            self._remind_at *= 2
            event = f"{self._what} still can't be reached after {age(self.seconds)}"
            log.warning(event, **told, failed_attempts=self.failures + 1)
        self.failures += 1
        self.reason = down.problem
        delay = backoff(self.failures, self._random, self._cap)
        if down.retry_after is not None:
            # A tenth of jitter on top: the server told the same to everybody, who shouldn't all come back at once.
            asked = min(max(down.retry_after, 0.0), RETRY_AFTER_CAP_SECONDS)
            delay = max(delay, asked * (1 + self._random() / 10))
        self._not_before = self._now() + delay

    def succeeded(self) -> None:
        """An attempt was answered as the contract says."""
        if self.down:
            event, lasted = f"{self._what} reached again", round(self.seconds, 1)
            log.info(event, outage_seconds=lasted, failed_attempts=self.failures, results_waiting=self._waiting())
        self.last_success = self._now()
        self._since = self.reason = None
        self.failures = 0
        self._not_before = 0.0


class Trust:
    """Whether what answers is known to be the API. A default backend says 200 "OK" to everything, results included. So
    after any failure no result is sent until something has been recognised as the API's.

    `recognise` (see `Link`) is tried at the pace of its `own` circuit; while that of the poller, `receiving`, is open,
    only with `aside`: where commands and results take different routes, and where the poller has stopped or waits for
    room.
    """

    def __init__(self, own: Circuit, receiving: Circuit, recognise: Callable[[], Awaitable[bool]]) -> None:
        self._own = own
        self._receiving = receiving
        self._recognise = recognise
        self.aside = False
        self._asking = trio.Lock()
        self._recognised = trio.Event()

    def recognised(self) -> None:
        """Something arrived that only the API sends."""
        self._own.succeeded()
        self._recognised.set()

    def doubt(self, words: str = "", retry_after: float | None = None) -> None:
        """Something failed. Nobody asks for as long as the answer to a result wants; the poller may be sooner."""
        if self._recognised.is_set():
            self._recognised = trio.Event()
        if retry_after is not None:
            self._own.failed(LinkDown(words, retry_after=retry_after))

    async def wait(self) -> None:
        """Return once the API is recognised. One of those who wait asks on behalf of all."""
        async with self._asking:
            while not self._recognised.is_set():
                if not self.aside and self._receiving.down:
                    pause = LOOK_SECONDS
                else:
                    pause = self._own.pause or await self._ask()
                with trio.move_on_after(pause):
                    await self._recognised.wait()

    async def _ask(self) -> float:
        """Ask, and return for how long to wait before it is asked again."""
        try:
            if await self._recognise():
                self.recognised()
                return 0
        except LinkDown as down:
            if down.status is None:
                self._own.failed(down)
                return self._own.pause
        log.debug("results wait: nothing in the answer shows that it is the API's")
        return UNRECOGNISED_SECONDS
