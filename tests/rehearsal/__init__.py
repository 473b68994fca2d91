"""Makes each incident of docs/incident.md happen, to the real agent, and puts what it really prints into the documents.

    python -m tests.rehearsal        (`make incidents`)

stage.py      one agent with its API and its cluster; commands are run as a person would type them
scenes.py     the incidents
documents.py  the places in the documents, marked `<!-- real: NAME -->`
"""
