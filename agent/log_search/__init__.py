"""`log_search`: one question to the logs of many containers, answered as one command."""

from agent.log_search.request import LogSearch
from agent.log_search.search import Searcher

__all__ = ["LogSearch", "Searcher"]
