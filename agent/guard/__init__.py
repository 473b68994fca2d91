"""What may run. Pure: arguments in, a plan or a refusal out; no I/O, no clock.

    shape ──▶ grammar (tables) ──▶ values, operands (resources) ──▶ policy ──▶ the line, written anew

Arguments are parsed as kubectl parses them, checked as parsed, and written anew from what was parsed; only that runs.
"""

from agent.guard.decide import GuardPlan, decide
from agent.guard.narrowing import PolicyError, parse_policy
from agent.guard.policy import DEFAULT_POLICY, Policy
from agent.guard.refused import Refused
from agent.guard.shape import check_shape

__all__ = ["DEFAULT_POLICY", "GuardPlan", "Policy", "PolicyError", "Refused", "check_shape", "decide", "parse_policy"]
