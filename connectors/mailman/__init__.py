"""What a Mailman 3 keeps about people, over its REST API: members of a list, left-over addresses, and requests that nobody answered."""

from connectors.mailman.source import open_source

__all__ = ["open_source"]
