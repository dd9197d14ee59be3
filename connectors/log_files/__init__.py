"""Log files as a source: one day of one file is a record, in files that were rotated and compressed too."""

from connectors.log_files.source import LogFiles, open_source

__all__ = ["LogFiles", "open_source"]
