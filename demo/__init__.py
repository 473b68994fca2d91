"""A reference API and a sample cluster, for the demo and for tests. The agent itself never imports them.

server.py      any ASGI app on a loopback port, inside a trio task; it can go away and come back
api.py         the central API: what the agent asks for work and gives its results to (both links)
cluster/       a small read-only Kubernetes API, good enough for the real kubectl
story/         what `make demo` tells
"""
