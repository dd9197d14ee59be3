"""The benchmark: how fast the worker is, as a share of what the database itself can do in the same minute on the same machine."""
