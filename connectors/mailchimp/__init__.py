"""Members of a Mailchimp audience over the Marketing API 3.0."""

from connectors.mailchimp.members import Members, open_source

__all__ = ["Members", "open_source"]
