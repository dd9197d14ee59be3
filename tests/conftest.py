"""What holds for every test."""

import os

# Whoever runs the tests side by side sets the width of a terminal that isn't there; tables are as wide as in a pipe.
os.environ.pop("COLUMNS", None)
