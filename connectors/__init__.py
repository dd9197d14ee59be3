"""Connectors: the hands of the worker. Each is a plug-in found through the entry points `retention.connectors`."""
