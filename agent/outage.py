"""One picture of whether the API can be reached, shared by all who talk to it. Pure: clock and chance are handed in.

While the API answers, everybody may talk to it at once. After a failure nobody may until a delay is over, and then one
attempt, the probe, finds out for all. Its success ends the outage; its failure begins a longer delay.

The delays are exponential with full jitter (a uniform draw from zero to the bound): after an outage of minutes the
attempts of 10,000 agents are spread evenly over the cap, so that the API isn't knocked over again as it comes back.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

CAP_SECONDS = 60.0
"""The longest delay that the agent chooses itself."""

FIRST_SECONDS = 1.0
"""The bound of the first delay; it doubles with each failure."""

RETRY_AFTER_CAP_SECONDS = 300.0
"""The longest delay that a server may ask for. A larger Retry-After is a mistake more often than a wish."""


def backoff(failures: int, random: Callable[[], float], cap: float = CAP_SECONDS) -> float:
    """The delay in seconds after so many failures in a row: uniform between 0 and min(cap, 2^(failures - 1))."""
    doublings = min(max(failures, 1) - 1, 32)  # 2^32 s is beyond any cap; the bound keeps the power finite
    return random() * min(cap, FIRST_SECONDS * float(2**doublings))


@dataclass(frozen=True, slots=True)
class Ended:
    """An outage that is over: how long it lasted, in seconds, and how many attempts failed in it."""

    seconds: float
    failures: int


class Outage:
    """Whether the API can be reached, since when not, and who may find out next.

    Args:
        now: a monotonic clock, in seconds.
        random: uniform draws from [0, 1).
        cap: the longest delay that is chosen here, in seconds.
    """

    def __init__(self, now: Callable[[], float], random: Callable[[], float], cap: float = CAP_SECONDS) -> None:
        self._now = now
        self._random = random
        self._cap = cap
        self._since: float | None = None
        self._not_before = 0.0
        self._probing = False
        self.failures = 0
        self.reason: str | None = None
        self.last_success: float | None = None

    @property
    def down(self) -> bool:
        """Whether the last that was heard of the API is a failure."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """How long the outage has lasted; 0 without one."""
        return 0.0 if self._since is None else self._now() - self._since

    def wait(self) -> float:
        """Seconds until an attempt may begin: 0 for now, infinity while somebody else probes."""
        if not self.down:
            return 0.0
        return math.inf if self._probing else max(0.0, self._not_before - self._now())

    def begin(self) -> bool:
        """Begin an attempt that `wait` allowed. True when it is the probe of an outage."""
        if self.down:
            self._probing = True
        return self.down

    def abandon(self, *, probe: bool) -> None:
        """End an attempt that found out nothing, such as one that was cancelled."""
        if probe:
            self._probing = False

    def failed(self, reason: str, *, probe: bool, retry_after: float | None = None) -> bool:
        """End an attempt that failed. True when this begins an outage.

        Attempts that began before the outage and fail into it don't lengthen the delay: they say nothing new.
        """
        begins = not self.down
        if probe:
            self._probing = False
        if begins:
            self._since = self._now()
            self.failures = 0
        if begins or probe:
            self.failures += 1
            self.reason = reason
            self._not_before = self._now() + self._delay(retry_after)
        elif retry_after is not None:
            self._not_before = max(self._not_before, self._now() + self._delay(retry_after))
        return begins

    def succeeded(self, *, probe: bool) -> Ended | None:
        """End an attempt that the API answered. Returns the outage that this ends, if there was one."""
        self.last_success = self._now()
        if probe:
            self._probing = False
        if self._since is None:
            return None
        ended = Ended(self.seconds, self.failures)
        self._since = self.reason = None
        self.failures = 0
        self._not_before = 0.0
        self._probing = False
        return ended

    def _delay(self, retry_after: float | None) -> float:
        own = backoff(self.failures, self._random, self._cap)
        if retry_after is None:
            return own
        # A tenth of jitter on top: the server told the same to everybody, and they shouldn't all come back at once.
        asked = min(max(retry_after, 0.0), RETRY_AFTER_CAP_SECONDS)
        return max(own, asked * (1 + self._random() / 10))
