"""Times as Kubernetes writes them, and ages as kubectl prints them."""

import re
import time
from datetime import UTC, datetime, timedelta

_TIME = re.compile(r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")


def shifted(text: str, seconds: int) -> str:
    """`text`, with every time in it moved into the future by so many seconds."""

    def moved(found: re.Match[str]) -> str:
        then = datetime.fromisoformat(found[1]) + timedelta(seconds=seconds)
        return f"{then.isoformat()}{found[2] or ''}Z"

    return _TIME.sub(moved, text)


def written(moment: float) -> str:
    """A moment with nanoseconds, as the kubelet puts it before a line."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def seconds_of(timestamp: str) -> float:
    """Seconds since the epoch."""
    return datetime.fromisoformat(timestamp).timestamp()


def seconds_since(timestamp: str | None) -> float:
    """Age of a timestamp; 0 for none."""
    return time.time() - seconds_of(timestamp) if timestamp else 0.0


def human_duration(seconds: float) -> str:
    """As in the AGE column: two units where the first is small, else one."""
    whole = max(int(seconds), 0)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    return f"{days}d"


def _two(first: int, first_unit: str, second: int, second_unit: str) -> str:
    return f"{first}{first_unit}" + (f"{second}{second_unit}" if second else "")
