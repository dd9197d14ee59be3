"""Application files on a local disk: one folder a dossier, its facts in a sidecar, a shared index, its name or its files' dates."""

from connectors.application_files.source import ApplicationFiles, open_source

__all__ = ["ApplicationFiles", "open_source"]
