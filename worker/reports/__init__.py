"""Pages for people: the dashboard drawn from the audit trail, and a plan for whoever approves it."""
