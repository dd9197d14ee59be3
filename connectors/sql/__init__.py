"""Sources that are tables of a database: SQLite, PostgreSQL, MariaDB.

Threat model. What may go wrong here destroys people's data or leaks it: a condition that selects too little hides what is due (so every
condition is tested against the decision itself), a statement that deletes more than was decided (so every count is compared before the
commit), a value in an error or a log (so driver errors never leave this package), a cascade that takes undeclared rows along (so it is an
error of the check), a crash between writing and knowing (so each transaction can be asked for, or leaves a marker).
"""

from connectors.sql.open import open_source

__all__ = ["open_source"]
