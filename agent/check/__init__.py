"""`kubently-agent check`: everything the agent needs, looked at before it runs, or beside it in the same pod.

findings.py        what a check finds, and areas of checks in their order
configuration.py   the environment, the token, the policy file
api.py             the way to the central API: network.py, tls.py, then the API's own answer
cluster.py         kubectl, the cluster's API server, and rights.py: what may and what may not be done there
storage.py         the spool's folder, its room, its file
health.py          the port of the probes
everything.py      all of it, in order

Nothing here takes the spool's lock, touches what a running agent uses, or waits without a limit.
"""

from agent.check.everything import check_everything
from agent.check.findings import Finding, Verdict

__all__ = ["Finding", "Verdict", "check_everything"]
