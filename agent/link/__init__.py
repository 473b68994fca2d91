"""The central API, as the rest of the agent sees it: commands in, results out.

Nothing above this room knows which contract is spoken, or that there is HTTP at all.
"""

from agent.link.choose import open_link
from agent.link.contract import Batch, Link, ReadyResult, Reply, Verdict

__all__ = ["Batch", "Link", "ReadyResult", "Reply", "Verdict", "open_link"]
