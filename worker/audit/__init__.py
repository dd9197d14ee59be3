"""The audit trail: what was done, provable, without personal data."""
