"""A sample cluster: a small read-only Kubernetes API, good enough for the real kubectl.

api.py           the server: who may ask, what was asked, refusals
reading.py       one object, many, a table of them, a watch, or a log
store.py         the objects;  world/ says which there are, and their story
types.py         the resource types it serves;  discovery.py and openapi.py describe them to a client
selectors.py     label and field selectors
tables.py        what `kubectl get` prints;  columns.py and pod_status.py say what is in each column
logs.py          what containers wrote;  metrics.py what they use
reviews.py       `auth can-i` and `whoami`;  protobuf.py reads the one form in which kubectl puts them
status.py        refusals in the words of a real server
"""
