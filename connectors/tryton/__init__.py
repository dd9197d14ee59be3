"""The records of one model of a Tryton, over its own JSON-RPC, the interface that its clients use: parties, addresses, what modules add."""

from connectors.tryton.opening import open_source

__all__ = ["open_source"]
