"""The machine: decides what is due, plans, acts under brakes and locks, verifies, and writes the audit trail."""
