"""A module for Tryton with the contract's records: people with letters, which go with them, and bills, which keep them."""

from trytond.model import ModelSQL, ModelView, fields
from trytond.pool import Pool


def register():
    """Tell Tryton of the models."""
    Pool.register(Person, Letter, Bill, Contract, module="retention", type_="model")


class Person(ModelSQL, ModelView):
    """Person."""

    __name__ = "retention.person"
    name = fields.Char("Name", strip=False)
    email = fields.Char("E-mail", strip=False)
    ip = fields.Char("IP", strip=False)
    note = fields.Text("Note", strip=False)
    status = fields.Char("Status", strip=False)
    score = fields.Integer("Score")
    hired = fields.Boolean("Hired")
    seen_on = fields.Date("Seen")
    left_on = fields.Date("Left")
    asked_on = fields.Date("Asked")
    changed_at = fields.DateTime("Changed")


class Letter(ModelSQL, ModelView):
    """Letter."""

    __name__ = "retention.letter"
    record_id = fields.Many2One("retention.person", "Person", ondelete="CASCADE")
    sent_on = fields.Date("Sent")


class Bill(ModelSQL, ModelView):
    """Bill."""

    __name__ = "retention.bill"
    record_id = fields.Many2One("retention.person", "Person", ondelete="RESTRICT")
    sent_on = fields.Date("Sent")


class Contract(ModelSQL, ModelView):
    """Contract."""

    __name__ = "retention.contract"
    _history = True
    party = fields.Many2One("party.party", "Party", ondelete="RESTRICT")
