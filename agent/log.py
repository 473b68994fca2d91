"""One line per event, JSON for machines or text for people, on standard error.

A line holds a time, a level, the task, an event in plain words, and named fields. What must never be in a line: the
token, output of kubectl, the environment. So only fields that a caller names are logged, exceptions are logged by their
sentence, and nothing here ever formats a request, a header or a configuration object.

Whoever reads standard error may stop reading: a container runtime that is stuck, a terminal after Ctrl-S. Nobody in the
agent ever waits for that.
"""

import json
import logging
import os
import select
import sys
import time
from typing import Any

BUFFER_BYTES = 1 << 20
"""How much is kept for a reader that has stopped reading. More than that is dropped and counted."""

FLUSH_SECONDS = 1.0
"""How long the process waits for such a reader when it ends."""

_PIECE_BYTES = select.PIPE_BUF  # so much goes into a pipe that is writable without waiting

_TEXT_WIDTH = 34  # the longest common event, so that fields line up for the eye


class Log:
    """A task's logger: `log.info("command accepted", command_id=…)`."""

    def __init__(self, task: str) -> None:
        self._logger = logging.getLogger(f"kubently.{task}")

    def debug(self, event: str, **fields: Any) -> None:
        """For following one command through the agent."""
        self._emit(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """What an operator wants to have in the log a week later."""
        self._emit(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Something is wrong, but the agent goes on."""
        self._emit(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Somebody has to do something."""
        self._emit(logging.ERROR, event, fields)

    def _emit(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": fields})


class _Output(logging.Handler):
    """Writes what can be written without waiting. The rest is kept until the next line, or the end of the process."""

    def __init__(self, fd: int, *, as_text: bool) -> None:
        super().__init__()
        self._fd = fd
        self._as_text = as_text
        self._reader = select.poll()
        self._reader.register(fd, select.POLLOUT)
        self._waiting = bytearray()
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Take one line."""
        fields = getattr(record, "fields", {})
        line = self._line(record.created, record.levelname, record.name, record.getMessage(), fields)
        if len(self._waiting) + len(line) > BUFFER_BYTES:
            self._dropped += 1
        else:
            self._waiting += line
        self._write()

    def _line(self, when: float, level: str, logger: str, event: str, given: dict[str, Any]) -> bytes:
        at = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(when))}.{int(when % 1 * 1000):03d}Z"
        task = logger.removeprefix("kubently.")
        fields = {name: value for name, value in given.items() if value is not None}
        if self._as_text:
            shown = " ".join(f"{name}={_readable(value)}" for name, value in fields.items())
            line = f"{at} {level:<7} {task:<10} {event:<{_TEXT_WIDTH}} {shown}".rstrip()
        else:
            line = json.dumps({"time": at, "level": level, "task": task, "event": event, **fields}, default=str)
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
                words, fields = "nobody read the log, lines were dropped", {"count": self._dropped}
                self._waiting += self._line(time.time(), "WARNING", "log", words, fields)
                self._dropped = 0

    def flush(self) -> None:
        """At the end of the process, give a stalled reader a moment."""
        self._write(FLUSH_SECONDS)


def _readable(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"
    text = str(value)
    plain = text.isprintable() and not any(c in text for c in ' "=')
    return text if plain and text else json.dumps(text)


def set_up(level: str, style: str | None) -> None:
    """Send the agent's log to standard error.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        style: "json", "text", or None for text on a terminal and JSON elsewhere.
    """
    logger = logging.getLogger("kubently")
    logger.handlers[:] = [_Output(2, as_text=style == "text" or (style is None and sys.stderr.isatty()))]
    logger.setLevel(level)
    logger.propagate = False
