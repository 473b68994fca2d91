"""`kubently-agent redact`: the text on standard input without the credentials in it, as the agent would send it."""

import argparse
import codecs
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.errors import AgentError
from agent.policy import PolicyFile
from agent.redact import Redactor

_EPILOG = """\
  kubectl describe pod web-0 | kubently-agent redact
  kubently-agent redact --explain < app.log      <redacted by url>: which rule took it
  echo '{"text": "password: x9q2"}' | kubently-agent redact --json

What each rule takes: kubently-agent guard --explain. What is missed or taken
wrongly: docs/redaction.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Complete the command's own parser."""
    parser.epilog = _EPILOG
    parser.add_argument("--policy", metavar="FILE", help="a policy file; default: KUBENTLY_POLICY_FILE")
    parser.add_argument("--json", action="store_true", help='read and write {"text": …}, one JSON object a line')
    parser.add_argument("--explain", action="store_true", help="say in each credential's place which rule took it")


def run(args: argparse.Namespace) -> int:
    """Redact all of standard input.

    Raises:
        ConfigError: the policy file can't be used.
        AgentError: a line isn't what --json reads.
    """
    path = args.policy or os.environ.get("KUBENTLY_POLICY_FILE")
    redaction = PolicyFile(Path(path) if path else None).current().redaction
    if sys.stdin.buffer.isatty():
        print("Type or paste text; Ctrl-D ends.", file=sys.stderr)
    for text in (_objects if args.json else _stream)(lambda: Redactor(redaction, explain=args.explain)):
        print(text, end="", flush=True)
    return 0


def _stream(redactor: Callable[[], Redactor]) -> Iterator[str]:
    stream, decoder = redactor(), codecs.getincrementaldecoder("utf-8")("replace")
    try:
        while data := os.read(sys.stdin.fileno(), 64 * 1024):
            yield stream.feed(decoder.decode(data))
    except OSError as error:
        raise AgentError(f"Standard input can't be read: {error.strerror}.", "Give it a text: … < FILE") from error
    yield stream.feed(decoder.decode(b"", final=True)) + stream.end()


def _objects(redactor: Callable[[], Redactor]) -> Iterator[str]:
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
        stream = redactor()
        yield json.dumps({"text": stream.feed(given) + stream.end()}) + "\n"
