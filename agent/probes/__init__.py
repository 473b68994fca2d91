"""What others may ask the agent: is it alive, is it ready, what has it done.

server.py    HTTP, as little as three pages need, against clients of every kind
probes.py    the pages, and what readiness depends on
gauges.py    the state at this moment, for Prometheus
"""

from agent.probes.probes import Probes

__all__ = ["Probes"]
