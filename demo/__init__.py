"""The demonstration office: an invented firm, a few thousand records, every awkward case, the same every time."""
