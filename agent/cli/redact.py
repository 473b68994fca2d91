"""`kubently-agent redact`: the text on standard input without the credentials in it, as the agent would send it."""

import argparse
import json
import os
from functools import partial
from pathlib import Path

from agent.cli import lines_given
from agent.config import SETTINGS
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
    parser.add_argument("--policy", type=Path, metavar="FILE", help="a policy file; default: KUBENTLY_POLICY_FILE")
    parser.add_argument("--json", action="store_true", help='read and write {"text": …}, one JSON object a line')
    parser.add_argument("--explain", action="store_true", help="say in each credential's place which rule took it")


def run(args: argparse.Namespace) -> int:
    """Redact standard input. Raises ConfigError for a bad policy file, AgentError for a line that --json can't read."""
    redaction = PolicyFile(args.policy or SETTINGS["policy_file"].read(os.environ)).current().redaction
    lines, begin = lines_given("Type or paste text"), partial(Redactor, redaction, explain=args.explain)
    if args.json:
        for number, line in enumerate(lines, 1):
            one = begin()
            print(json.dumps({"text": one.feed(_text(number, line)) + one.end()}), flush=True)
    else:
        whole = begin()
        for line in lines:
            print(whole.feed(line.decode("utf-8", "replace")), end="")
        print(whole.end(), end="")
    return 0


def _text(number: int, line: bytes) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError, RecursionError):
        text = None
    if isinstance(text, str):
        return text
    problem = f"Line {number} of standard input is not a JSON object with a text."
    raise AgentError(problem, 'Give one a line, as in {"text": "password: x9q2"}.')
