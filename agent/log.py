"""One line an event, JSON for machines or text for people, on standard error.

A line holds a time, a level, the task, an event in plain words, and named fields. What must never be in a line: the
token, output of kubectl, the environment. So only fields that a caller names are logged, exceptions are logged by their
sentence, and nothing here ever formats a request, a header or a configuration object.
"""

import json
import logging
import sys
import time
from typing import Any

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


class _Formatter(logging.Formatter):
    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        fields: dict[str, Any] = getattr(record, "fields", {})
        return {name: value for name, value in fields.items() if value is not None}

    def time(self, record: logging.LogRecord) -> str:
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{whole}.{int(record.msecs):03d}Z"

    def task(self, record: logging.LogRecord) -> str:
        return record.name.removeprefix("kubently.")


class _Json(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.time(record),
            "level": record.levelname,
            "task": self.task(record),
            "event": record.getMessage(),
            **self.fields(record),
        }
        return json.dumps(line, default=str)


class _Text(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={_readable(value)}" for name, value in self.fields(record).items())
        head = f"{self.time(record)} {record.levelname:<7} {self.task(record):<10} "
        return (head + f"{record.getMessage():<{_TEXT_WIDTH}} {fields}").rstrip()


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
    as_text = style == "text" or (style is None and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Text() if as_text else _Json())
    logger = logging.getLogger("kubently")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
