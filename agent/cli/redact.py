"""`kubently-agent redact`: the text on standard input without the credentials in it, as the agent would send it."""

import argparse
import bisect
import codecs
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from agent.errors import AgentError
from agent.log import Log
from agent.policy import PolicyFile
from agent.redact import Redaction, Redactor

_READ_BYTES = 64 * 1024

_EPILOG = """\
  kubectl describe pod web-0 | kubently-agent redact
  kubently-agent redact --explain < app.log      which rule takes what, where
  echo '{"text": "password: x9q2"}' | kubently-agent redact --json

--explain prints a line for each credential: line:column, the rule's kind, what
such a rule takes; never the value. What is missed or taken wrongly: docs/redaction.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Complete the command's own parser."""
    parser.epilog = _EPILOG
    parser.add_argument("--policy", metavar="FILE", help="a policy file; default: KUBENTLY_POLICY_FILE")
    parser.add_argument("--json", action="store_true", help='read and write {"text": …}, one JSON object a line')
    parser.add_argument("--explain", action="store_true", help="say which rule takes what and where, not the text")


def run(args: argparse.Namespace) -> int:
    """Redact all of standard input.

    Raises:
        ConfigError: the policy file can't be used.
        AgentError: a line isn't what --json reads.
    """
    path = args.policy or os.environ.get("KUBENTLY_POLICY_FILE")
    redaction = PolicyFile(Path(path) if path else None, Log("redact")).current().redaction
    if sys.stdin.buffer.isatty():
        print("Type or paste text; Ctrl-D ends.", file=sys.stderr)
    for text in _objects(redaction, explain=args.explain) if args.json else _stream(redaction, explain=args.explain):
        print(text, end="", flush=True)
    return 0


def _stream(redaction: Redaction, *, explain: bool) -> Iterator[str]:
    places = _Places(redaction)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while data := _read():
        text = places.feed(decoder.decode(data))
        yield from places.told() if explain else (text,)
    text = places.feed(decoder.decode(b"", final=True)) + places.redactor.end()
    yield from places.told() if explain else (text,)


def _read() -> bytes:
    try:
        return os.read(sys.stdin.fileno(), _READ_BYTES)
    except OSError as error:
        raise AgentError(f"Standard input can't be read: {error.strerror}.", "Give it a text: … < FILE") from error


def _objects(redaction: Redaction, *, explain: bool) -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            given = json.loads(line)["text"]
        except (ValueError, KeyError, TypeError, RecursionError):
            given = None
        if not isinstance(given, str):
            raise AgentError(
                f"Line {number} of standard input is not a JSON object with a text.",
                'Give one a line, as in {"text": "password: x9q2"}.',
            )
        places = _Places(redaction)
        text = places.feed(given) + places.redactor.end()
        yield json.dumps({"explained": list(places.told(""))} if explain else {"text": text}) + "\n"


class _Places:
    """A redactor that notes what it takes."""

    def __init__(self, redaction: Redaction) -> None:
        self.redactor = Redactor(redaction, self._note)
        self._takes = {rule.kind: rule.takes for rule in reversed(redaction.rules)}
        self._starts = [0]
        self._length = 0
        self._taken: list[tuple[str, int]] = []

    def feed(self, text: str) -> str:
        at = text.find("\n")
        while at >= 0:
            self._starts.append(self._length + at + 1)
            at = text.find("\n", at + 1)
        self._length += len(text)
        return self.redactor.feed(text)

    def told(self, end: str = "\n") -> Iterator[str]:
        """A line for each credential since the last call."""
        for kind, at in self._taken:
            line = bisect.bisect_right(self._starts, at)
            yield f"{line}:{at - self._starts[line - 1] + 1}  {kind}: {self._takes[kind]}{end}"
        self._taken.clear()

    def _note(self, kind: str, at: int) -> None:
        self._taken.append((kind, at))
