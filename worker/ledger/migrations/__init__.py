"""The history of the ledger's schema, run by Alembic."""
