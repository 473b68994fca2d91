"""One line an event, JSON for machines or text for people, on standard error.

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
import threading
import time
from typing import Any

BUFFER_BYTES = 1 << 20
"""How much is kept for a reader that doesn't read. What is beyond that is dropped and counted."""

FLUSH_SECONDS = 1.0
"""How long the end of the process waits for such a reader."""

_ERROR_FD = 2
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
        """Something isn't as it should be, and the agent goes on."""
        self._emit(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Somebody has to do something."""
        self._emit(logging.ERROR, event, fields)

    def _emit(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": fields})


class _Line(logging.Formatter):
    def __init__(self, *, as_text: bool) -> None:
        super().__init__()
        self._as_text = as_text

    def format(self, record: logging.LogRecord) -> str:
        at = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"
        level, task, event = record.levelname, record.name.removeprefix("kubently."), record.getMessage()
        given: dict[str, Any] = getattr(record, "fields", {})
        fields = {name: value for name, value in given.items() if value is not None}
        if not self._as_text:
            return json.dumps({"time": at, "level": level, "task": task, "event": event, **fields}, default=str)
        shown = " ".join(f"{name}={_readable(value)}" for name, value in fields.items())
        return f"{at} {level:<7} {task:<10} {event:<{_TEXT_WIDTH}} {shown}".rstrip()


def _readable(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"
    text = str(value)
    plain = text.isprintable() and not any(c in text for c in ' "=')
    return text if plain and text else json.dumps(text)


class _Output(logging.Handler):
    """Writes at once what can be written without waiting. The rest is left to a thread that waits for the reader."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._reader = select.poll()
        self._reader.register(fd, select.POLLOUT)
        self._turn = threading.Lock()  # the handler's own is held at exit while `flush` waits
        self._waiting = bytearray()
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take one line."""
        line = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
        with self._turn:
            if len(self._waiting) + len(line) > BUFFER_BYTES:
                self._dropped += 1
                return
            self._waiting += line
            if self._thread is None:
                while self._waiting and self._reader.poll(0):
                    self._write_piece()
                if self._waiting:
                    self._begin_to_wait()

    def _write_piece(self) -> None:
        try:
            del self._waiting[: os.write(self._fd, self._waiting[:_PIECE_BYTES])]
        except BlockingIOError:  # another process was faster
            return
        except OSError:  # nobody will ever read it
            self._waiting.clear()
        if self._dropped and not self._waiting:
            fields = {"fields": {"count": self._dropped}, "name": "kubently.log", "levelname": "WARNING"}
            self._dropped = 0
            record = logging.makeLogRecord({"msg": "nobody read the log, lines were dropped", **fields})
            self._waiting += self.format(record).encode() + b"\n"

    def _begin_to_wait(self) -> None:
        thread = threading.Thread(target=self._wait_and_write, name="log", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads for this process; the next line tries again
            return
        self._thread = thread

    def _wait_and_write(self) -> None:
        while True:
            self._reader.poll()
            with self._turn:
                self._write_piece()
                if not self._waiting:
                    self._thread = None
                    return

    def flush(self) -> None:
        """At the end of the process: give a reader that doesn't read a moment."""
        if (thread := self._thread) is not None:
            thread.join(FLUSH_SECONDS)


def set_up(level: str, style: str | None) -> None:
    """Send the agent's log to standard error.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        style: "json", "text", or None for text on a terminal and JSON elsewhere.
    """
    as_text = style == "text" or (style is None and sys.stderr.isatty())
    handler = _Output(_ERROR_FD)
    handler.setFormatter(_Line(as_text=as_text))
    logger = logging.getLogger("kubently")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
