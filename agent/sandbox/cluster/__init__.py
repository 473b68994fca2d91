"""A sample cluster: a small read-only Kubernetes API, good enough for the real kubectl.

api.py         the server: who may ask, what was asked, one object or many, refusals
types.py       the resource types it serves
discovery.py   how a client learns of those types
selectors.py   label and field selectors
tables.py      the columns that `kubectl get` prints
logs.py        what containers wrote
store.py       the objects
world/         which objects there are, and their story
"""
