"""The story that `make demo` tells.

play.py        sets the stage, plays the story, and leaves nothing running
story.py       the acts, in order
stage.py       what they play on: API, cluster, agent process, spool, and waiting with a limit
questions.py   what is asked, and which part of an answer is shown
process.py     the real agent, as a process of its own
ledger.py      what the agent's spool says of each command
tally.py       executed, spooled, delivered, lost
proof.py       the table at the end, from three independent records
screen.py      how it looks on a terminal, and without one
"""
