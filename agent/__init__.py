"""The Kubently agent: runs read-only kubectl for a central API, and loses none of the results."""

__version__ = "0.1.0"
