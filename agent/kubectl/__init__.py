"""kubectl, the child: the only room that starts a process.

environment.py   what the child may see: folders, environment, kubeconfig; made once
child.py         one process: started, limited, waited for, ended with its whole group
client.py        `Kubectl.run`: one command line, its output as text up to a cap, how it ended
"""

from agent.kubectl.client import Kubectl, Sink
from agent.kubectl.environment import Environment

__all__ = ["Environment", "Kubectl", "Sink"]
