"""Messages in one folder of an IMAP mailbox: the place where applications arrive."""

from connectors.imap.opening import open_source

__all__ = ["open_source"]
