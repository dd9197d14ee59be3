"""The CRM of the office: contacts with their quotes, agreements, invoices and notes, most of them ordinary.

About a fifth of the contacts was last spoken to more than two years ago. Some of those are held by an agreement that
still runs or by invoices inside seven fiscal years. The awkward ones are in `demo.crm_cases` and have the lowest keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random

from demo import database
from demo.people import Person, day_between, office_hours, person, seeded, years_before

SCHEMA = """
CREATE TABLE contacts (
  id INTEGER PRIMARY KEY,
  name TEXT,
  email TEXT,
  phone TEXT,
  address TEXT,
  city TEXT,
  last_contact_at TIMESTAMP,
  created_at TIMESTAMP,
  marketing_opt_in BOOLEAN
);
CREATE INDEX contacts_last_contact_at ON contacts (last_contact_at);
CREATE INDEX contacts_email ON contacts (email);

CREATE TABLE quotes (
  id INTEGER PRIMARY KEY,
  contact_id INTEGER NOT NULL,
  number TEXT NOT NULL UNIQUE,
  amount NUMERIC(10, 2) NOT NULL,
  quoted_on DATE,
  contact_name TEXT,
  FOREIGN KEY (contact_id) REFERENCES contacts (id)
);
CREATE INDEX quotes_contact_id ON quotes (contact_id);
CREATE INDEX quotes_quoted_on ON quotes (quoted_on);

CREATE TABLE agreements (
  id INTEGER PRIMARY KEY,
  contact_id INTEGER NOT NULL,
  signed_on DATE NOT NULL,
  ended_on DATE,
  FOREIGN KEY (contact_id) REFERENCES contacts (id)
);
CREATE INDEX agreements_contact_id ON agreements (contact_id);
CREATE INDEX agreements_ended_on ON agreements (ended_on);

CREATE TABLE invoices (
  id INTEGER PRIMARY KEY,
  contact_id INTEGER,
  number TEXT NOT NULL UNIQUE,
  amount NUMERIC(10, 2) NOT NULL,
  issued_on DATE,
  billing_name TEXT,
  billing_address TEXT,
  FOREIGN KEY (contact_id) REFERENCES contacts (id)
);
CREATE INDEX invoices_contact_id ON invoices (contact_id);
CREATE INDEX invoices_issued_on ON invoices (issued_on);

CREATE TABLE notes (
  id INTEGER PRIMARY KEY,
  contact_id INTEGER NOT NULL,
  written_at TIMESTAMP,
  body TEXT,
  FOREIGN KEY (contact_id) REFERENCES contacts (id)
);
CREATE INDEX notes_contact_id ON notes (contact_id);
CREATE INDEX notes_written_at ON notes (written_at);
"""
_BODIES = (
    "Gebeld met {name}, belt volgende week terug.",
    "Wil liever gemaild worden op {email}.",
    "Langs geweest op {address}; sleutel ligt bij de buren.",
    "Vraagt om een nieuwe offerte, liefst voor het eind van de maand.",
    "Nummer {phone} is alleen 's avonds bereikbaar.",
    "Tevreden over de vorige opdracht.",
)


@dataclass(slots=True)
class Crm:
    """The rows of the CRM while they are being made; keys count up from 1 in the order of adding."""

    draw: Random
    contacts: list[database.Row] = field(default_factory=list)
    quotes: list[database.Row] = field(default_factory=list)
    agreements: list[database.Row] = field(default_factory=list)
    invoices: list[database.Row] = field(default_factory=list)
    notes: list[database.Row] = field(default_factory=list)
    canaries: set[str] = field(default_factory=set)

    def contact(self, who: Person | None, last_contact_at: str | None, created_on: date | None = None) -> int:
        """Add a contact, or one of which nothing is known, and return its key."""
        values: tuple[str | None, ...] = (None,) * 5
        if who is not None:
            values = (who.name, who.email, who.phone, who.address, who.city)
            self.canaries |= who.values
        created_at = office_hours(created_on, self.draw) if created_on else None
        opt_in = self.draw.choice((None, 0, 0, 1)) if who else None
        self.contacts.append((len(self.contacts) + 1, *values, last_contact_at, created_at, opt_in))
        return len(self.contacts)

    def quote(self, contact: int, who: Person, quoted_on: date | str | None) -> int:
        """Add a quote and return its key."""
        key = len(self.quotes) + 1
        self.quotes.append((key, contact, f"Q-{key:05d}", self._amount(), _text(quoted_on), who.name))
        self.canaries |= who.values
        return key

    def agreement(self, contact: int, signed_on: date, ended_on: date | None) -> int:
        """Add an agreement, still running when it has no end, and return its key."""
        self.agreements.append((len(self.agreements) + 1, contact, signed_on.isoformat(), _text(ended_on)))
        return len(self.agreements)

    def invoice(self, contact: int | None, who: Person, issued_on: date | str | None) -> int:
        """Add an invoice, of a contact that is gone when `contact` is None, and return its key."""
        key = len(self.invoices) + 1
        billed_at = f"{who.address}, {who.city}"
        self.invoices.append((key, contact, f"F-{key:05d}", self._amount(), _text(issued_on), who.name, billed_at))
        self.canaries |= who.values
        return key

    def note(self, contact: int, written_at: str | None, body: str | None) -> int:
        """Add a note and return its key."""
        self.notes.append((len(self.notes) + 1, contact, written_at, body))
        return len(self.notes)

    def write(self, path: Path) -> None:
        """Write the rows as a SQLite file."""
        tables = {
            "contacts": self.contacts,
            "quotes": self.quotes,
            "agreements": self.agreements,
            "invoices": self.invoices,
            "notes": self.notes,
        }
        database.write(path, SCHEMA, tables)

    def _amount(self) -> float:
        return self.draw.randint(50, 4000) + self.draw.choice((0.0, 0.25, 0.5, 0.95))


def fill(crm: Crm, as_of: date, scale: int) -> None:
    """Add ordinary contacts up to 2,000 times the scale, and the invoices of some that are gone."""
    # A stream of its own, so that another awkward case never changes the ordinary records.
    crm.draw = draw = seeded("crm")
    for number in range(1000, 1000 + 2000 * scale - len(crm.contacts)):
        _ordinary(crm, person(number), as_of, draw)
    for number in range(500, 500 + 90 * scale):
        issued_on = day_between(years_before(as_of, 11), years_before(as_of, 5), draw)
        crm.invoice(None, person(number % 1000), issued_on)


def _ordinary(crm: Crm, who: Person, as_of: date, draw: Random) -> None:
    stale = draw.random() < 0.2
    two_years_ago = years_before(as_of, 2)
    if stale:
        last = day_between(years_before(as_of, 9), two_years_ago - timedelta(days=1), draw)
    else:
        last = day_between(two_years_ago + timedelta(days=1), as_of - timedelta(days=1), draw)
    created = day_between(years_before(as_of, 12), last, draw)
    kind = draw.random()
    customer = kind < (0.33 if stale else 0.3)
    prospect = not customer and kind < (0.53 if stale else 0.65)
    if customer:
        # A customer came to the office earlier than the others: the second draw pulls the date towards the past.
        created = min(created, day_between(years_before(as_of, 12), last, draw))
    contact = crm.contact(who, office_hours(last, draw), created)
    if customer:
        _customer(crm, contact, who, (created, last), draw, stale=stale)
    elif prospect:
        for _ in range(draw.choice((1, 2, 2))):
            crm.quote(contact, who, day_between(created, last, draw))
    for _ in range(draw.choice((0, 1, 1, 1, 2, 3))):
        body = draw.choice(_BODIES).format(name=who.name, email=who.email, phone=who.phone, address=who.address)
        crm.note(contact, office_hours(day_between(created, last, draw), draw), body)


def _customer(crm: Crm, contact: int, who: Person, known: tuple[date, date], draw: Random, *, stale: bool) -> None:
    created, last = known
    crm.quote(contact, who, created)
    if draw.random() < 0.68:
        runs = draw.random() < (0.1 if stale else 0.6)
        crm.agreement(contact, created, None if runs else day_between(created, last, draw))
    for _ in range(draw.randint(1, 5)):
        crm.invoice(contact, who, day_between(created, last, draw))


def _text(day: date | str | None) -> str | None:
    return day.isoformat() if isinstance(day, date) else day
