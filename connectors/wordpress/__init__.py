"""Comments of a WordPress site over its REST API, signed in with an application password."""

from connectors.wordpress.source import WordPressComments, open_source

__all__ = ["WordPressComments", "open_source"]
