"""`kubently-agent guard`: may these arguments run, and as what? Nothing is run."""

import argparse
import json
import os
import shlex
from pathlib import Path

from agent.cli import lines_given
from agent.config import SETTINGS
from agent.guard import Policy, Refused, decide, explain
from agent.policy import PolicyFile

_DESCRIPTION = """\
Say whether kubectl arguments are allowed, why not, and the line that would run.
Nothing is run, and no cluster is needed.

  kubently-agent guard -- get pods -A
  kubently-agent guard --explain
  echo '{"args": ["get", "pods"]}' | kubently-agent guard

Without arguments it reads one JSON object {"args": [...]} a line from standard
input and answers each with one line: {"args", "allowed", "argv", "reason"}.
Exit codes: 0 allowed (or all lines answered), 1 refused, 2 a mistake.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Complete the command's own parser."""
    parser.description = _DESCRIPTION
    parser.add_argument("--policy", type=Path, metavar="FILE", help="a policy file; default: KUBENTLY_POLICY_FILE")
    parser.add_argument("--explain", action="store_true", help="print everything that the effective policy allows")
    parser.add_argument("args", nargs="*", metavar="-- ARGUMENT", help="kubectl's arguments, without kubectl itself")


def run(options: argparse.Namespace) -> int:
    """Answer the command line's arguments, or each line of standard input. Raises ConfigError for a bad policy file."""
    policy = PolicyFile(options.policy or SETTINGS["policy_file"].read(os.environ)).current()
    if options.explain:
        print(explain(policy), end="")
    elif options.args:
        try:
            print(f"allowed: kubectl {shlex.join(decide(options.args, policy))}")
        except Refused as refusal:
            print(f"refused ({refusal.rule}): {refusal.sentence}")
            return 1
    else:
        for line in lines_given('One JSON object a line, such as {"args": ["get", "pods"]}'):
            print(_answer(line, policy), flush=True)  # at once: the asker may wait before it goes on
    return 0


def _answer(line: bytes, policy: Policy) -> str:
    answer: dict[str, object] = {"args": None, "allowed": False, "argv": None, "reason": None}
    try:
        answer["args"] = json.loads(line)["args"]
        answer |= {"argv": decide(answer["args"], policy), "allowed": True}
    except Refused as refusal:
        answer["reason"] = refusal.sentence
    except (ValueError, KeyError, TypeError, RecursionError):
        answer["reason"] = 'the line is not a JSON object with "args", as in {"args": ["get", "pods"]}'
    return json.dumps(answer)
