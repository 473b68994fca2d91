"""What may run. Pure: arguments in, a plan or a refusal out; no I/O, no clock.

    shape ──▶ grammar (tables) ──▶ values, operands (kinds) ──▶ policy ──▶ the line, written anew

Arguments are parsed as kubectl parses them, checked as parsed, and written anew from what was parsed; only that runs.
"""

from agent.guard.decide import Plan, decide
from agent.guard.narrowing import PolicyError, parse_policy
from agent.guard.policy import DEFAULT_POLICY, Policy
from agent.guard.refused import Refused

__all__ = ["DEFAULT_POLICY", "Plan", "Policy", "PolicyError", "Refused", "decide", "parse_policy"]
