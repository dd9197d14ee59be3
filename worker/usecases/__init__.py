"""What the worker can be asked to do. Each use case is one module; `machine` is what all of them are given."""
