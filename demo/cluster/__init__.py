"""A sample cluster: a small read-only Kubernetes API, good enough for the real kubectl.

objects/         what is in it, as YAML;  store.py loads it, ages.py moves its times to now
types.yaml       the resource types and their columns;  types.py loads them
api.py           the server: who may ask, what was asked, refusals
reading.py       one object, many, a table of them, a watch, or a log
selectors.py     label and field selectors
columns.py       what `kubectl get` prints
logs.py          what `kubectl logs` prints
discovery.py     the types as a client asks for them;  openapi.py for `kubectl explain`
reviews.py       `auth can-i` and `whoami`;  protobuf.py reads the one form in which kubectl puts them
status.py        refusals in the words of a real server
"""
