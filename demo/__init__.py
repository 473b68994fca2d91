"""A reference API and a sample cluster, for the demo and for tests. The agent itself never imports them.

__main__.py    the command line of `make demo` and `make playground`
story/         what `make demo` tells;  playground.py stays up instead
cluster/       a small read-only Kubernetes API, good enough for the real kubectl; what is in it is YAML
api.py         the central API, running: what the agent asks for work and gives its results to (both links)
central.py     what it knows and does;  routes.py and sse.py put that on the wire
record.py      what it remembers;  body.py reads results of any size
contract.py    what it accepts;  schema.py reads that from docs/openapi.yaml
server.py      any ASGI app on a loopback port, inside a trio task; it can go away and come back
"""
