"""Records of a module of Zoho CRM (contacts, leads, deals ...) over version 8 of its REST API, signed in with OAuth."""

from connectors.zoho.opening import open_source

__all__ = ["open_source"]
