"""The words of papers in English."""

from worker.core.conditions import Op
from worker.core.model import Combine, DispositionKind, LegalBasis
from worker.core.periods import Anchor, Bound
from worker.core.sources import TreatmentKind
from worker.paper.language import End, Lang, Language, Ordered, Phrase, Title, Unit

ENGLISH = Language(
    lang=Lang.EN,
    locale="en_GB",
    numerals=("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    units={
        Unit.YEARS: ("year", "years"),
        Unit.MONTHS: ("month", "months"),
        Unit.WEEKS: ("week", "weeks"),
        Unit.DAYS: ("day", "days"),
    },
    truth=("yes", "no"),
    bases={
        LegalBasis.CONSENT: "with your consent",
        LegalBasis.CONTRACT: "to carry out our agreement with you",
        LegalBasis.LEGAL_OBLIGATION: "because the law requires it",
        LegalBasis.VITAL_INTERESTS: "to protect vital interests",
        LegalBasis.PUBLIC_TASK: "for a task in the public interest",
        LegalBasis.LEGITIMATE_INTERESTS: "in our legitimate interest",
    },
    articles={
        LegalBasis.CONSENT: "consent (GDPR 6(1)(a))",
        LegalBasis.CONTRACT: "contract (GDPR 6(1)(b))",
        LegalBasis.LEGAL_OBLIGATION: "legal obligation (GDPR 6(1)(c))",
        LegalBasis.VITAL_INTERESTS: "vital interests (GDPR 6(1)(d))",
        LegalBasis.PUBLIC_TASK: "public task (GDPR 6(1)(e))",
        LegalBasis.LEGITIMATE_INTERESTS: "legitimate interests (GDPR 6(1)(f))",
    },
    anchors={
        Anchor.DAY: "{event}",
        Anchor.END_OF_MONTH: "the end of the month in which {event} falls",
        Anchor.END_OF_CALENDAR_YEAR: "the end of the calendar year in which {event} falls",
        Anchor.END_OF_FISCAL_YEAR: "the end of the fiscal year in which {event} falls",
    },
    combined={
        Combine.LATEST_OF: "the latest of {all}",
        Combine.EARLIEST_OF: "the earliest of {all}",
        Combine.ALL_OF: "the last of {all} (once all have happened)",
    },
    bounds={Bound.CEILING: "at most {period}", Bound.FLOOR: "at least {period}"},
    same={
        Op.EQ: ("{fact} is {value}", "{fact} is not {value}"),
        Op.NE: ("{fact} is something other than {value}", "{fact} is nothing other than {value}"),
        Op.IN: ("{fact} is {value}", "{fact} is not {value}"),
        Op.NOT_IN: ("{fact} is something other than {value}", "{fact} is nothing other than {value}"),
        Op.EXISTS: ("{fact} is on record", "{fact} is not on record"),
    },
    ordered={
        (Ordered.NUMBER, Op.LT): ("{fact} is less than {value}", "{fact} is not less than {value}"),
        (Ordered.NUMBER, Op.LE): ("{fact} is at most {value}", "{fact} is not at most {value}"),
        (Ordered.NUMBER, Op.GT): ("{fact} is more than {value}", "{fact} is not more than {value}"),
        (Ordered.NUMBER, Op.GE): ("{fact} is at least {value}", "{fact} is not at least {value}"),
        (Ordered.DAY, Op.LT): ("{fact} was before {value}", "{fact} was not before {value}"),
        (Ordered.DAY, Op.LE): ("{fact} was on or before {value}", "{fact} was not on or before {value}"),
        (Ordered.DAY, Op.GT): ("{fact} was after {value}", "{fact} was not after {value}"),
        (Ordered.DAY, Op.GE): ("{fact} was on or after {value}", "{fact} was not on or after {value}"),
    },
    counted={
        Op.EQ: "the number of {fact} is {value}",
        Op.NE: "the number of {fact} is not {value}",
        Op.IN: "the number of {fact} is {value}",
        Op.NOT_IN: "the number of {fact} is not {value}",
        Op.LT: "there are fewer than {value} {fact}",
        Op.LE: "there are at most {value} {fact}",
        Op.GT: "there are more than {value} {fact}",
        Op.GE: "there are at least {value} {fact}",
    },
    some="there are {fact}",
    none="there are no {fact}",
    at_once="at once",
    always="in all cases",
    never="in no case",
    ends={
        End.WITHDRAW: "withdraw {consent}",
        End.OBJECT: "object to direct marketing",
        End.ERASE: "ask us to erase the data",
    },
    steps={
        DispositionKind.DELETE: "we delete the data",
        DispositionKind.PSEUDONYMISE: "we pseudonymise the data",
        DispositionKind.REVIEW: "a member of our staff decides what happens to the data",
    },
    treatments={
        TreatmentKind.CLEAR: "we erase {fields}",
        TreatmentKind.CONSTANT: "we replace {fields} by a fixed text",
        TreatmentKind.PSEUDONYM: "we replace {fields} by a pseudonym",
        TreatmentKind.TRUNCATE: "we cut off the last part of {fields}",
        TreatmentKind.GENERALISE: "we keep {fields} less precisely",
        TreatmentKind.RANDOM: "we replace {fields} by a meaningless code",
        TreatmentKind.SCRUB: "we remove from {fields} what identifies you, as far as it can be recognised automatically",
    },
    phrases={
        Phrase.KEEP: "We keep these data {how_long}.",
        Phrase.KEEP_IF: "If {condition}, we keep these data {how_long}.",
        Phrase.KEEP_INSTEAD: "If {condition}, we instead keep these data {how_long}.",
        Phrase.FOR: "for {period} after {start}",
        Phrase.UNTIL: "until {start}",
        Phrase.UNTIL_YOU: "until you {ends}",
        Phrase.WITHOUT_END: "without a fixed end date",
        Phrase.UNLESS_SOONER: "{how_long}, unless you {ends} before then",
        Phrase.CONSENT: "your consent",
        Phrase.NAMED_CONSENT: "your consent {name}",
        Phrase.GAVE: "you gave us {consent}",
        Phrase.IN_TIME: "{gave} before the period for {purpose} was over",
        Phrase.PROMISED: "If {event} was on or before {day}, the shorter period of {period} that we promised then applies.",
        Phrase.NOT_REVIVED: "If the earlier period of {period} ended on or before {day}, it stays at that.",
        Phrase.WAITING: "If {event} is still to come more than {period} after {after}, one of us looks at it.",
        Phrase.WAITING_AT_ONCE: "If {event} is still to come after {after}, one of us looks at it.",
        Phrase.STATE: "the end of the time in which {condition}",
        Phrase.STATE_ENDED: "the end of the time in which {condition} ({ended}, where that day is on record)",
        Phrase.SEEN: "The day counts on which we first see that it is over.",
        Phrase.SEEN_OTHERWISE: "Where no end is on record, the day counts on which we first see that it is over.",
        Phrase.SETTLING: "We then wait at least {period}, in case it was not.",
        Phrase.REST: "the rest",
        Phrase.DATA: "It concerns {fields}.",
        Phrase.SHARED: "We share these data with {recipients}.",
        Phrase.SHARED_FOR: "For this we share them with {recipients}.",
        Phrase.THEN: "After that, {step}.",
        Phrase.DEPENDS: "What happens after that depends.",
        Phrase.THEN_IF: "If {condition}, {step}.",
        Phrase.OTHERWISE: "In all other cases, {step}.",
        Phrase.AFTER_STEP: "{period} later {step}",
        Phrase.AGAIN: "{step} (and again at most {period} later)",
        Phrase.REVIEWER: "review by {owner}",
        Phrase.WINDOW: "We do so within {period}.",
        Phrase.BACKUPS: "At the latest {period} after their deletion the data are gone from our backups too.",
        Phrase.SUPPRESS: "For {period} after their deletion we keep a mark, made with a secret key, so that no import brings them back.",
        Phrase.WATCH: "For {period} after their deletion we keep a mark, made with a secret key, by which we notice when they come back.",
        Phrase.EARLIER: "Data that no purpose needs any more do not wait for the rest: {treatments}.",
        Phrase.FOLLOWS: "With the last of these data we also remove {fields}.",
        Phrase.PSEUDONYMS: (
            "Pseudonymised data still are personal data: whoever holds the key could trace them back to you. We keep that key apart."
        ),
        Phrase.SCRUBBED: (
            "From {fields} a program removes names, addresses and numbers of yours. It does not recognise everything: if it missed "
            "something, tell us."
        ),
        Phrase.FOR_CLIENT: "We process these data on behalf of a client, who decides about them. We pass on your requests to that client.",
        Phrase.FOR_NAMED_CLIENT: (
            "We process these data on behalf of {client}, who decides about them. We pass on your requests to {client}."
        ),
        Phrase.FROM_DAY: "in force from {day}",
        Phrase.THROUGH: "{first} to {last}",
    },
    titles={
        Title.STATEMENT: "How long we keep your personal data",
        Title.INTRODUCTION: "{organisation} keeps personal data no longer than the purposes below need them.",
        Title.REGISTER: "Record of processing activities",
        Title.SCOPE: (
            "{organisation}: purposes, legal bases, categories, recipients and time limits (GDPR 30(1)(b), (c), (d) and (f)), made from "
            "the policies that are enforced. Contact details, transfers to third countries and security measures do not stand in them "
            "and have to be added."
        ),
        Title.CLASSES: "Deletion classes",
        Title.CLASSES_SCOPE: "Every start event with every period that runs from it, and the purposes in that class (after DIN 66398).",
        Title.STANDARD: "Standard periods",
        Title.ODD_YEARS: (
            "Fiscal years that differ: {years}. Where a period runs from the end of a fiscal year, “at least” counts in fiscal years and "
            "in calendar years, and the later of the two holds; “at most” counts in calendar years."
        ),
        Title.DECLARED: "What no system enforces",
        Title.DECLARED_SCOPE: (
            "An attestation is what somebody confirms and a periodic review what somebody looks at, at least as often as said. For a gap "
            "nothing has been laid down yet."
        ),
        Title.KIND: "Kind",
        Title.ATTESTATION: "attestation",
        Title.REVIEW: "periodic review",
        Title.GAP: "gap",
        Title.WHAT: "What",
        Title.CATEGORIES: "Categories",
        Title.EVERY: "Again within",
        Title.WITHOUT_POLICY: "Without a policy, so without a period",
        Title.WITHOUT_PURPOSE: "Without a purpose, so without a period",
        Title.PEOPLE: "Records and people",
        Title.PURPOSE: "Purpose",
        Title.BASIS: "Legal basis",
        Title.DATA: "Personal data",
        Title.RECIPIENTS: "Recipients",
        Title.PERIOD: "Period",
        Title.START: "Counted from",
        Title.CONDITION: "Only if",
        Title.AFTERWARDS: "Afterwards",
        Title.CLAUSE: "Where promised",
        Title.VERSION: "Version",
        Title.OWNER: "Owner",
        Title.NO_START: "no start event",
        Title.NO_PERIOD: "no fixed end",
    },
    closing=(
        "If we keep the same data for more than one purpose, the purpose that lasts longest decides.",
        (
            "You may ask us to erase your data, withdraw a consent or object at any time. We then keep only what the other purposes need, "
            "for instance because the law requires it, and tell you which those are and until when."
        ),
        "While a legal dispute needs the data, or you asked us to restrict their use, we do not delete them.",
        "When we cannot tell whether a period is over, we do not delete automatically; one of us looks at it.",
    ),
)
