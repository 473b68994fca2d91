"""What may run. Pure: arguments in, the line that runs or a refusal out; no I/O, no clock.

    shape ──▶ grammar (tables) ──▶ values, operands (resources) ──▶ policy ──▶ the line, written anew

Arguments are parsed as kubectl parses them, checked as parsed, and written anew from what was parsed; only that runs.
"""

from agent.guard.decide import decide
from agent.guard.policy import DEFAULT_POLICY, Policy, explain, parse_policy
from agent.guard.refused import Refused

__all__ = ["DEFAULT_POLICY", "Policy", "Refused", "decide", "explain", "parse_policy"]
