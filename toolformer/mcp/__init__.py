"""Tools over the Model Context Protocol: those of any server as tools here, and ours for any client. Needs the extra
`mcp`."""

import logging

from toolformer.mcp.client import mcp_tools

__all__ = ["mcp_tools"]

# What the SDK has to say of the other side is said in our own errors; without a handler, Python would print it.
logging.getLogger("mcp").addHandler(logging.NullHandler())
