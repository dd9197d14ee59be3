"""The deciding core: pure functions over frozen values. No I/O, no clock, no settings; `today` and keys are arguments."""
