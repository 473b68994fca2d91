"""One line per event, JSON for machines or text for people, on standard error.

A line must never hold the token, output of kubectl, or the environment. So only fields that a caller names are logged,
exceptions by their sentence, and nothing here ever formats a request, a header or a configuration object.

Whoever reads standard error may stop reading: a container runtime that is stuck, a terminal after Ctrl-S. Nobody in the
agent ever waits for that. All lines come from the event loop.
"""

import atexit
import json
import logging
import os
import select
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
BUFFER_BYTES = 1 << 20  # kept for a reader that has stopped reading; more than that is dropped and counted
FLUSH_SECONDS = 1.0  # for which the process waits for such a reader when it ends
_PIECE_BYTES = select.PIPE_BUF  # so much goes into a pipe that is writable without waiting
_TEXT_WIDTH = 34  # the longest common event, so that fields line up for the eye
_json = json.JSONEncoder(default=str).encode

sinks: list[Callable[[str, str, str, dict[str, Any]], None]] = []
"""What takes the level, task, event and fields of each line. Before `set_up` nothing does."""


class Log:
    """A task's logger: `log.info("command accepted", command_id=…)`. Fields that are None are left out.

    `debug` follows one command through the agent; `info` is what an operator wants to have a week later; at `warning`
    something is wrong, but the agent goes on; at `error` somebody has to do something.
    """

    def __init__(self, task: str) -> None:
        self.debug, self.info, self.warning, self.error = (partial(_say, level, task) for level in LEVELS)


def _say(level: str, task: str, event: str, /, **fields: Any) -> None:
    for sink in sinks:
        sink(level, task, event, fields)


class Lines:
    """Writes what can be written without waiting. The rest is kept until the next line, or the end of the process."""

    def __init__(self, fd: int, level: str, *, as_text: bool) -> None:
        self._fd = fd
        self._levels = LEVELS[LEVELS.index(level) :]
        self._as_text = as_text
        self._reader = select.poll()
        self._reader.register(fd, select.POLLOUT)
        self._waiting = bytearray()
        self._dropped = 0

    def take(self, level: str, task: str, event: str, fields: dict[str, Any]) -> None:
        """Take one line, as a sink."""
        if level not in self._levels:
            return
        line = self._line(level, task, event, fields)
        if len(self._waiting) + len(line) > BUFFER_BYTES:
            self._dropped += 1
        else:
            self._waiting += line
        self._write()

    def flush(self) -> None:
        """At the end of the process, give a stalled reader a moment."""
        self._write(FLUSH_SECONDS)

    def _line(self, level: str, task: str, event: str, given: dict[str, Any]) -> bytes:
        when = time.time()
        at = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(when))}.{int(when % 1 * 1000):03d}Z"
        fields = {name: value for name, value in given.items() if value is not None}
        if self._as_text:
            shown = " ".join(f"{name}={_readable(value)}" for name, value in fields.items())
            line = f"{at} {level:<7} {task:<10} {event:<{_TEXT_WIDTH}} {shown}".rstrip()
        else:
            line = _json({"time": at, "level": level, "task": task, "event": event, **fields})
        return line.encode("utf-8", "backslashreplace") + b"\n"

    def _write(self, within: float = 0) -> None:
        until = time.monotonic() + within
        while self._waiting and self._reader.poll(max(0, until - time.monotonic()) * 1000):
            try:
                del self._waiting[: os.write(self._fd, self._waiting[:_PIECE_BYTES])]
            except BlockingIOError:  # another process was faster
                return
            except OSError:  # nobody will ever read it
                self._waiting.clear()
            if self._dropped and not self._waiting:
                says, count = "nobody read the log, lines were dropped", {"count": self._dropped}
                self._waiting += self._line("WARNING", "log", says, count)
                self._dropped = 0


def _readable(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"
    text = str(value)
    plain = text.isprintable() and not any(c in text for c in ' "=')
    return text if plain and text else json.dumps(text)


def set_up(level: str, style: str | None) -> None:
    """Send the agent's log to standard error. `style`: "json", "text", or None for text on a terminal and else JSON."""
    lines = Lines(2, level, as_text=style == "text" or (style is None and sys.stderr.isatty()))
    sinks[:] = [lines.take]
    atexit.register(lines.flush)
    logging.getLogger().addHandler(logging.NullHandler())  # else Python prints their warnings
