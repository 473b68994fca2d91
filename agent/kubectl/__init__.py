"""kubectl, the child: the only room that starts a process."""

from agent.kubectl.client import Kubectl, Sink
from agent.kubectl.environment import Environment

__all__ = ["Environment", "Kubectl", "Sink"]
