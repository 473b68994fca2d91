"""`log_search`: one question to the logs of many containers, answered as one command.

request.py    what is asked, from untrusted JSON
matcher.py    one container's log, line by line as it comes: what matches, and what stands around it
search.py     the plan: find the pods, read their logs, several at a time
report.py     the answer as text, with every cap that fired
"""

from agent.log_search.request import BadRequest, LogSearch
from agent.log_search.search import Searcher

__all__ = ["BadRequest", "LogSearch", "Searcher"]
