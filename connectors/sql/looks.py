"""What a column, a table or a sample of values looks like, by name and by form: for people to look at, never a reason to act.

Values are looked at here and nowhere else, counted, and forgotten: nothing of this module returns one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from worker.core.scrubbing import Scrubber, tells
from worker.core.sources import Scrubbing

_LONGEST_FORM = 80
_SCRUBBER = Scrubber(Scrubbing(language="en", countries=("NL", "BE", "DE")))
_FORMS = {
    "[e-mail]": "e-mail addresses",
    "[phone]": "telephone numbers",
    "[IBAN]": "bank account numbers",
    "[BSN]": "citizen service numbers",
    "[IP]": "IP addresses",
}
_NAME = re.compile(
    r"[A-ZÀ-ÖØ-Þ][\w'’-]+(?: [A-Z]\.)*(?: (?:van|de|den|der|het|ten|ter|te|von|zu|la|le|du|di|da|el|al))* [A-ZÀ-ÖØ-Þ][\w'’-]+"
)
_BY_NAME = {
    "names": r"(first|last|full|sur|family|given|user|nick|display|maiden|contact)_?names?|name|naam|(voor|achter|roep|gebruikers)_?naam"
    r"|tussenvoegsel|voorletters|initials|vorname|(nach|familien)name",
    "e-mail addresses": r"e?_?mails?|e?_?mail_?(address|adres|adresse)",
    "telephone numbers": r"(tele)?phones?(_?(no|number|nr))?|tel|telefoon(nummer)?|telefon(nummer)?|mobiles?|mobiel|handy|gsm|fax",
    "addresses": r"address(es)?|adres(sen)?|adressen?|streets?|straat|strasse|house_?(no|number|nr)|huis_?nummer|haus_?nummer|post_?codes?"
    r"|zip(_?code)?|plz|city|town|woonplaats|wohnort",
    "days of birth": r"birth(_?(day|date))?|date_?of_?birth|dob|geboorte(_?(datum|dag|plaats))?|geburts(tag|datum|ort)",
    "numbers that identify people": r"bsn|ssn|sofi(_?nummer)?|passport(_?(no|number))?|paspoort|personalausweis"
    r"|licen[cs]e_?plate|kenteken|kennzeichen",
    "bank accounts": r"iban|bank_?(account|rekening)|rekening_?(nummer|nr)|kontonummer",
    "traces of devices": r"ip|ip_?(addr|address|adres|adresse)|(remote|last_?login)_?(ip|addr)|user_?agent|device_?id|cookies?",
    "free text": r"notes?|notities?|remarks?|comments?|opmerking(en)?|bemerkung(en)?|memo",
    "what is special about a person": r"gender|sex|geslacht|geschlecht|nationality|nationaliteit|religion|religie"
    r"|health|gezondheid|salary|salaris|gehalt",
    "pictures": r"photos?|foto|avatar|signature|handtekening|unterschrift",
}
_NAMED = {kind: re.compile(rf"(?:^|.*_)(?:{pattern})(?:_.*|\d*)$") for kind, pattern in _BY_NAME.items()}
_SOFT = re.compile(
    r"(is_?)?(soft_?)?(deleted|removed|archived|trashed|discarded)(_?(at|on|date|flag|by))?|(delete|removal)_?(flag|date)|deletion_?date"
    r"|(is_?)?(verwijderd|gearchiveerd)(_?(op|datum))?|geloescht(_?am)?|gelöscht(_?am)?|in_?trash|trash"
)
_COPY = re.compile(
    r"(?:^|.*_)(history|hist|audit|audits|log|logs|versions?|revisions?|archive|archived|archief|backup|bak|old|copy|changes|changelog|journal"
    r"|shadow|deleted|historie|geschiedenis|verlauf)(?:_.*|\d*)$"
)


def snake(name: str) -> str:
    """Return a name in small letters with its words apart: lastModified as last_modified."""
    return re.sub(r"[\s\-.]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).lower()


def named_like(column: str) -> str | None:
    """Return what a column holds by its name, in Dutch, English or German; None when the name says nothing."""
    name = snake(column)
    return next((kind for kind, pattern in _NAMED.items() if pattern.fullmatch(name)), None)


def is_soft_delete(column: str) -> bool:
    """Whether a column is called like the mark with which programs hide what they call deleted."""
    return _SOFT.fullmatch(snake(column)) is not None


def is_copy(table: str) -> bool:
    """Whether a table is called like one that keeps what another one held before."""
    return _COPY.fullmatch(snake(table)) is not None


def forms(values: Iterable[object]) -> Counter[str]:
    """Return how many of some values look like what, by their form; every value is counted once at most."""
    found: Counter[str] = Counter()
    for value in values:
        kind = _form(value.strip()) if isinstance(value, str) else None
        if kind is not None:
            found[kind] += 1
    return found


def _form(text: str) -> str | None:
    """Return what a text as a whole looks like."""
    if not 0 < len(text) <= _LONGEST_FORM:
        return "texts that mention people" if text and tells(text) and _SCRUBBER.scrubbed(text) is not text else None
    scrubbed = _SCRUBBER.scrubbed(text)
    if scrubbed in _FORMS:
        return _FORMS[str(scrubbed)]
    if scrubbed is not text:
        return "texts that mention people"
    return "names" if _NAME.fullmatch(text) else None
