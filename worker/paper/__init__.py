"""From policy to paper: what is published is made from what is enforced, so the two can't drift apart."""

from worker.paper.language import Lang
from worker.paper.register import Format as RegisterFormat
from worker.paper.register import register
from worker.paper.statement import Format as StatementFormat
from worker.paper.statement import statement
from worker.paper.view import unlabelled

__all__ = ["Lang", "RegisterFormat", "StatementFormat", "register", "statement", "unlabelled"]
