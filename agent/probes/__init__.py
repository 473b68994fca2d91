"""What others may ask the agent: is it alive, is it ready, what has it done."""

from agent.probes.probes import Probes

__all__ = ["Probes"]
