"""What tests share: one stand-in for kubectl, one API that can misbehave, one way to start an agent.

kubectl.py    a script in kubectl's place, which does what its arguments say
api.py        the reference API on a socket of its own that meets planned faults, and counts every byte
faults.py     what an API, or whatever stands in its place, can do to one exchange
line.py       a bad line in between: slow, far away, lossy
wire.py       HTTP on a bare socket, with nothing hidden
agent.py      the agent as a process: started, watched, killed
process.py    what Linux knows of a process
"""

import os

THOROUGH = "THOROUGH" in os.environ
"""`make test THOROUGH=1`, which CI does every night: many more examples of everything that is tried by chance."""
