"""What the shop's containers wrote: lines with the time at which each was written."""

import random
import time
from datetime import UTC, datetime

from demo.cluster.store import Lines
from demo.cluster.types import Object

_PATHS = {
    "web": ("/", "/cart", "/product/1187", "/product/2034", "/search?q=lamp", "/static/app.7f3c.js"),
    "catalog": ("/v1/products/1187", "/v1/products/2034", "/v1/search?q=lamp", "/v1/categories"),
    "payments": ("/v2/intents", "/v2/intents/capture", "/v2/refunds"),
    "checkout": ("/v1/orders", "/v1/orders/price", "/v1/orders/confirm"),
}
_LINES = 600
_HOUR = 3600.0


def requests(app: str, pod: Object) -> Lines:
    """An hour of requests served, one every six seconds or so, the same for a pod in each run."""
    chance = random.Random(pod["metadata"]["uid"])
    now, lines, ago = time.time(), [], _HOUR
    for _ in range(_LINES):
        ago -= chance.uniform(0.2, 1.8) * _HOUR / _LINES
        status = chance.choices((200, 201, 304, 404, 500), (88, 6, 4, 1.6, 0.4))[0]
        level = "ERROR" if status >= 500 else "INFO "
        method = "POST" if status == 201 else "GET"
        took = chance.lognormvariate(2.6, 0.6)
        path = chance.choice(_PATHS[app])
        lines.append((now - max(ago, 0.0), f"{level} {app} {method} {path} {status} {took:.1f}ms"))
    return tuple(lines)


def checkout_crash(ended: str) -> Lines:
    """One short life of checkout 4.2.0. `ended` is when it exited."""
    end = datetime.fromisoformat(ended).timestamp()
    lines = (
        (-1.91, "INFO  checkout 4.2.0 starting (commit 9f3c1e7)"),
        (-1.88, "INFO  config: 5 settings read from the environment"),
        (-1.62, "INFO  orders-db: connected to orders-db.shop.svc:5432 in 14ms"),
        (-1.57, "INFO  catalog: http://catalog.shop.svc is reachable"),
        (-0.06, "ERROR payments: PAYMENT_GATEWAY_URL is not set"),
        (-0.06, "ERROR payments: PAYMENTS_URL is no longer read since 4.2.0"),
        (-0.05, "FATAL checkout cannot take payments, giving up: exit code 1"),
    )
    return tuple((end + offset, f"{_clock(end + offset)} {text}") for offset, text in lines)


def postgres() -> Lines:
    """A database that is at peace."""
    now = time.time()
    return tuple(
        (
            now - ago,
            f"{_clock(now - ago)} [27] LOG:  checkpoint complete: wrote {buffers} buffers (0.{buffers % 9}%)",
        )
        for ago, buffers in zip(range(3300, 0, -300), range(112, 400, 23), strict=False)
    )


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
