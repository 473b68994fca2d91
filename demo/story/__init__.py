"""The story that `make demo` tells.

story.py       the acts, in order
questions.py   what is asked, and which part of an answer is shown
proof.py       how things stand, and the table at the end, from three independent records
ledger.py      what the agent's spool says of each command
stage.py       what it plays on: API, cluster, agent process, spool, and waiting with a limit
process.py     the real agent, as a process of its own
screen.py      how it looks on a terminal, and without one
"""
