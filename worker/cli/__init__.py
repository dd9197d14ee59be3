"""The command `retention`: plain verbs over the use cases, tables for people, JSON for programs, documented exit codes."""
