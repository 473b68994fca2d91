"""kubectl, the child: the only room that starts a process.

environment.py   what the child may see: folders, environment, kubeconfig; made once
child.py          one process: started, limited, waited for, ended with its whole group
output.py         its bytes, turned into text piece by piece, up to a cap
client.py         `Kubectl.run`: the three together
"""

from agent.kubectl.client import Exit, Kubectl, Sink

__all__ = ["Exit", "Kubectl", "Sink"]
