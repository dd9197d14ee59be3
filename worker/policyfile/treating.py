"""Treatments in the policy file: what each may be given to, and what follows from it that its writer may not have meant."""

from __future__ import annotations

import re
from collections.abc import Iterator

from worker.core.generalising import LONGEST_REGION
from worker.core.model import Policy
from worker.core.sources import Coarse, Field, Identifier, Scrubbing, Treatment, TreatmentKind
from worker.policyfile.document import Complaints
from worker.policyfile.positions import Path
from worker.policyfile.shape import ConstantShape, FieldShape, GeneraliseShape, ScrubShape, SourceShape

_TEXTS = ("text", "email", "phone")
_COARSE_OF = {Coarse.MONTH: ("date", "timestamp"), Coarse.YEAR: ("date", "timestamp"), Coarse.REGION: ("text",), Coarse.RANGE: ("number",)}
_COUNTRIES = ("NL", "BE", "DE")
_USUAL_REGION = 2
_FEW_VALUES = re.compile(
    r"(?<![a-z])(post_?codes?|zip(_?code)?|plz|postleitzahl|birth(_?(day|date|year))?|(date|year)_?of_?birth|dob|geboorte(datum|dag|jaar)?|geburts(tag|datum|jahr)?"
    r"|gender|sex|geslacht|geschlecht|age|leeftijd|alter|city|town|woonplaats|plaats|stadt|wohnort|country|land|nationality|nationaliteit)(?![a-z])"
)
_CAN_BE_TRIED = re.compile(
    r"(?<![a-z])(ip(v[46])?|ip_?addr(ess)?|ip_?adress?e?|remote_?addr|phone(_?n(umber|r))?|mobile|telephone|tel|telefoon(nummer)?|mobiel"
    r"|telefon(nummer)?|handy|bsn|ssn|citizen_?service_?number)(?![a-z])"
)


def read_treatment(name: str, shape: FieldShape, source: str, of: SourceShape) -> Treatment | None:
    """Return a field's treatment; the domain of a pseudonym is the source's name unless another one is declared."""
    match shape.treatment:
        case None:
            return None
        case ConstantShape(constant=value):
            return Treatment(TreatmentKind.CONSTANT, value=value)
        case GeneraliseShape(generalise=coarse, size=size):
            usual = _USUAL_REGION if coarse is Coarse.REGION else 0
            return Treatment(TreatmentKind.GENERALISE, coarse=coarse, size=usual if size is None else size)
        case ScrubShape(scrub=beside, language=language, countries=countries, within=within):
            return Treatment(TreatmentKind.SCRUB, scrubbing=Scrubbing(tuple(beside), language, tuple(countries), within))
        case "scrub":
            return Treatment(
                TreatmentKind.SCRUB, scrubbing=Scrubbing(tuple(each for each in of.subject if each != name), countries=_COUNTRIES)
            )
        case "pseudonym" | "random" as kind:
            return Treatment(TreatmentKind(kind), domain=shape.domain or source.replace("_", "-").strip("-"))
        case simple:
            return Treatment(TreatmentKind(simple))


def check_treatment(path: Path, name: str, shape: FieldShape, of: SourceShape, complaints: Complaints) -> None:
    """Complain about a treatment that does not fit what its field holds."""
    treatment = shape.treatment
    place: Path = (*path, "treatment")
    if shape.domain is not None and treatment not in ("pseudonym", "random"):
        complaints.problem((*path, "domain"), "only a field with the treatment 'pseudonym' or 'random' has a domain")
    if isinstance(treatment, GeneraliseShape):
        _check_coarse(place, treatment, shape.type, complaints)
    elif treatment not in (None, "clear") and shape.type not in _TEXTS:
        also = "" if shape.type == "boolean" else " or made coarser"
        complaints.problem(place, f"a {shape.type} can only be cleared{also}", "Use treatment = 'clear' or { generalise = ... }.")
    elif treatment == "truncate" and shape.type != "text":
        complaints.problem(place, "'truncate' shortens IP addresses, and this is not one")
    elif isinstance(treatment, ScrubShape) or treatment == "scrub":
        _check_scrub(place, name, shape, of, complaints)


def _check_coarse(place: Path, treatment: GeneraliseShape, kind: str, complaints: Complaints) -> None:
    """Complain about a coarse value that its field can't hold."""
    coarse, size = treatment.generalise, treatment.size
    if kind not in _COARSE_OF[coarse]:
        complaints.problem(place, f"{coarse.value!r} is left of a {' or '.join(_COARSE_OF[coarse])}, and this is a {kind}")
    if coarse is Coarse.RANGE and (size is None or size < 2):
        complaints.problem(place, "a range needs a `size` of at least 2", "Say size = 10, and 31 becomes 30.")
    if coarse is Coarse.REGION and size is not None and not 1 <= size <= LONGEST_REGION:
        complaints.problem(place, f"a region has a `size` of 1 to {LONGEST_REGION} characters")
    if coarse in (Coarse.MONTH, Coarse.YEAR) and size is not None:
        complaints.problem(place, "a month or year has no `size`")


def _check_scrub(place: Path, name: str, shape: FieldShape, of: SourceShape, complaints: Complaints) -> None:
    """Complain about a text that can't be scrubbed, or of what can't be looked for in it."""
    if shape.type != "text":
        complaints.problem(place, f"'scrub' is for running text, and this is a {shape.type}", "Use 'clear' or 'pseudonym'.")
    given = shape.treatment.scrub if isinstance(shape.treatment, ScrubShape) else [each for each in of.subject if each != name]
    declared = complaints.document.names((*place[:2], "fields"))
    for number, each in enumerate(given):
        inside = (*place, "scrub", number)
        if not complaints.known(inside, "field", each, of.fields, declared):
            continue
        other = of.fields[each]
        if each == name or other.treatment == "scrub" or isinstance(other.treatment, ScrubShape):
            complaints.problem(inside, f"{each!r} is a text that is scrubbed itself, and no identifier")
        elif other.type not in _TEXTS:
            complaints.problem(inside, f"{each!r} is a {other.type}; what is looked for in a text is a text, email or phone")
    if not given:
        what = "knows nobody's name: only what has a recognisable form is taken out of the text"
        complaints.warn(place, what, 'Name the fields that say who the text is about: { scrub = ["name", "email"] }.')


# --- What follows from them -----------------------------------------------------------------------------------------------------------


def check_consequences(policy: Policy, fields: Path, complaints: Complaints) -> None:
    """Complain and warn about what the treatments of a policy lead to, where they can be carried out."""
    for field in policy.treatable:
        if field.treatment is not None and field.treatment.kind is TreatmentKind.PSEUDONYM and _has_few_values(field):
            what = "takes few values, so its pseudonyms can be told apart by how often each occurs, and by whoever knows one record"
            complaints.warn((*fields, field.name), what, "Use 'clear', or { generalise = ... } where a part of it is still needed.")
        elif _can_all_be_tried(field):
            what = "can all be tried by whoever gets the key of the domain: there are too few telephone numbers and addresses of this kind"
            hint = "Use 'clear' or 'random', 'truncate' for an IP address, or destroy the key when nobody has to recognise them any more."
            complaints.warn((*fields, field.name), what, hint)
        apart = list(_apart(policy, field))
        before = ", ".join(repr(name) for name, earlier in apart if earlier)
        after = ", ".join(repr(name) for name, earlier in apart if not earlier)
        if before:
            what = f"is scrubbed of {before}, which may be treated before it: then nobody finds that in the text any more"
            hint = f"Let every purpose that lists {field.name!r} list {before} too, or leave that out of `scrub`."
            complaints.problem((*fields, field.name), what, hint)
        if after:
            what = f"is looked at again in every run after it was scrubbed, for as long as {after} is there"
            complaints.warn((*fields, field.name), what, "Let both rest on the same purposes, or accept what that costs.")


def _apart(policy: Policy, field: Field) -> Iterator[tuple[str, bool]]:
    """Yield the names of fields beside a text that are not treated together with it, each with whether it may be treated earlier."""
    if field.treatment is None:
        return
    own = policy.purposes_of.get(field.name)
    for name in field.treatment.beside:
        other = policy.source.field(name)
        purposes = policy.purposes_of.get(name)
        if other.treatment is None or not other.personal:
            yield name, False
        elif own is None or purposes is None:
            # What follows its record is treated last, with everything else.
            if own is None and purposes is not None and not policy.uniform:
                yield name, True
        elif set(own) - set(purposes):
            yield name, True
        elif set(purposes) - set(own):
            yield name, False


def _has_few_values(field: Field) -> bool:
    """Whether a field is called like something of which there are few values, or names them."""
    return bool(field.values) or any(_FEW_VALUES.search(each) for each in _names(field))


def _can_all_be_tried(field: Field) -> bool:
    """Whether a field holds pseudonyms of what there are some millions of: a telephone number, an IP address."""
    if field.treatment is None or field.treatment.kind is not TreatmentKind.PSEUDONYM:
        return False
    return field.identifier is Identifier.PHONE or any(_CAN_BE_TRIED.search(each) for each in _names(field))


def _names(field: Field) -> list[str]:
    """Return what a field and its column are called, in small letters with underscores between the words."""
    return [re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", each).lower() for each in (field.name, field.column)]
