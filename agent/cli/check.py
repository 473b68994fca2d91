"""`kubently-agent check`: one line a check, and what to do about each that fails."""

import argparse
import os
import shutil
import sys
import textwrap
from collections import Counter

import trio

from agent.check import Finding, Mark, check_everything
from agent.cli.parser import Subparsers, add_command

_SIGNS = {Mark.PASSED: "√", Mark.WARNED: "!", Mark.FAILED: "×", Mark.SKIPPED: "–"}
_COLOURS = {Mark.PASSED: "32", Mark.WARNED: "33", Mark.FAILED: "31", Mark.SKIPPED: "2"}
_WIDTH = 17  # of the longest check's name
_COLUMNS = 110  # beyond that lines are hard to read

_EPILOG = """\
√ as it should be   ! works, but look at it   × to be put right   – not looked at

Exit codes: 0 nothing failed, 1 something did, 2 a mistake in the configuration.
It may run beside a live agent: kubectl exec deploy/kubently-agent -- kubently-agent check
"""


def add_parser(commands: Subparsers) -> None:
    """Add the command's own command line."""
    add_command(commands, "check", more=" Changes nothing.", epilog=_EPILOG)


def run(_: argparse.Namespace) -> int:
    """Make all checks and tell them; returns the exit code."""
    lines = _Lines()
    config = trio.run(check_everything, os.environ, lines.tell)
    lines.flush()
    print(f"\n{_summary(lines.findings)}")
    if config is None:
        return 2
    return int(any(found.verdict is Mark.FAILED for found in lines.findings))


class _Lines:
    """Prints findings as they come: some take seconds, and a person wants to see what is being waited for."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._area = ""
        self._skipped: list[Finding] = []

    def tell(self, finding: Finding) -> None:
        """Take the next one. What was skipped for one reason makes one line."""
        self.findings.append(finding)
        if self._skipped and (finding.area, finding.words) != (self._skipped[0].area, self._skipped[0].words):
            self.flush()
        if finding.verdict is Mark.SKIPPED:
            self._skipped.append(finding)
        else:
            self._print(finding, finding.check)

    def flush(self) -> None:
        """Print what is held back."""
        if self._skipped:
            names = ", ".join(f.check for f in self._skipped)
            self._print(self._skipped[0], names if len(names) <= _WIDTH else f"{len(self._skipped)} checks")
            self._skipped.clear()

    def _print(self, finding: Finding, checks: str) -> None:
        if finding.area != self._area:
            print(f"{'' if not self._area else chr(10)}{finding.area}")
            self._area = finding.area
        first, *more = self._wrap(finding.words)
        print(f"  {self._sign(finding.verdict)} {checks:<{_WIDTH}} {first}")
        for line in (*more, *self._wrap(f"→ {finding.hint}", hang="  ")) if finding.hint else more:
            print(f"    {'':<{_WIDTH}} {line}")
        sys.stdout.flush()

    def _wrap(self, words: str, hang: str = "") -> list[str]:
        width = max(40, min(shutil.get_terminal_size((_COLUMNS, 0)).columns, _COLUMNS) - _WIDTH - 5)
        plain = textwrap.TextWrapper(width, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False)
        return plain.wrap(words) or [""]

    def _sign(self, verdict: Mark) -> str:
        sign = _SIGNS[verdict]
        return f"\x1b[{_COLOURS[verdict]}m{sign}\x1b[0m" if self._coloured else sign


def _summary(findings: list[Finding]) -> str:
    count = Counter(finding.verdict for finding in findings)
    words = {Mark.FAILED: "failed", Mark.WARNED: "to look at", Mark.SKIPPED: "not looked at"}
    rest = "".join(f", {count[mark]} {word}" for mark, word in words.items() if count[mark])
    return f"{count[Mark.PASSED]} of {len(findings)} checks passed{rest}."
