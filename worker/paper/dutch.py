"""The words of papers in Dutch: informal, in the second person, as small organisations address their customers."""

from worker.core.conditions import Op
from worker.core.model import Combine, DispositionKind, LegalBasis
from worker.core.periods import Anchor, Bound
from worker.core.sources import TreatmentKind
from worker.paper.language import End, Lang, Language, Ordered, Phrase, Title, Unit

DUTCH = Language(
    lang=Lang.NL,
    locale="nl",
    numerals=("een", "twee", "drie", "vier", "vijf", "zes", "zeven", "acht", "negen", "tien", "elf", "twaalf"),
    units={
        Unit.YEARS: ("jaar", "jaar"),
        Unit.MONTHS: ("maand", "maanden"),
        Unit.WEEKS: ("week", "weken"),
        Unit.DAYS: ("dag", "dagen"),
    },
    truth=("ja", "nee"),
    bases={
        LegalBasis.CONSENT: "met je toestemming",
        LegalBasis.CONTRACT: "om onze overeenkomst met je uit te voeren",
        LegalBasis.LEGAL_OBLIGATION: "omdat de wet het voorschrijft",
        LegalBasis.VITAL_INTERESTS: "om vitale belangen te beschermen",
        LegalBasis.PUBLIC_TASK: "voor een taak van algemeen belang",
        LegalBasis.LEGITIMATE_INTERESTS: "in ons gerechtvaardigd belang",
    },
    articles={
        LegalBasis.CONSENT: "toestemming (AVG 6 lid 1 onder a)",
        LegalBasis.CONTRACT: "overeenkomst (AVG 6 lid 1 onder b)",
        LegalBasis.LEGAL_OBLIGATION: "wettelijke verplichting (AVG 6 lid 1 onder c)",
        LegalBasis.VITAL_INTERESTS: "vitale belangen (AVG 6 lid 1 onder d)",
        LegalBasis.PUBLIC_TASK: "taak van algemeen belang (AVG 6 lid 1 onder e)",
        LegalBasis.LEGITIMATE_INTERESTS: "gerechtvaardigd belang (AVG 6 lid 1 onder f)",
    },
    anchors={
        Anchor.DAY: "{event}",
        Anchor.END_OF_MONTH: "het einde van de maand waarin {event} valt",
        Anchor.END_OF_CALENDAR_YEAR: "het einde van het kalenderjaar waarin {event} valt",
        Anchor.END_OF_FISCAL_YEAR: "het einde van het boekjaar waarin {event} valt",
    },
    combined={
        Combine.LATEST_OF: "{first} of, als dat later is, {others}",
        Combine.EARLIEST_OF: "{first} of, als dat eerder is, {others}",
        Combine.ALL_OF: "het laatste van {all} (als alles is gebeurd)",
    },
    bounds={Bound.CEILING: "maximaal {period}", Bound.FLOOR: "minimaal {period}"},
    same={
        Op.EQ: ("{fact} {value} is", "{fact} niet {value} is"),
        Op.NE: ("{fact} iets anders is dan {value}", "{fact} niets anders is dan {value}"),
        Op.IN: ("{fact} {value} is", "{fact} niet {value} is"),
        Op.NOT_IN: ("{fact} iets anders is dan {value}", "{fact} niets anders is dan {value}"),
        Op.EXISTS: ("{fact} is vastgelegd", "{fact} niet is vastgelegd"),
    },
    ordered={
        (Ordered.NUMBER, Op.LT): ("{fact} lager is dan {value}", "{fact} niet lager is dan {value}"),
        (Ordered.NUMBER, Op.LE): ("{fact} hoogstens {value} is", "{fact} niet hoogstens {value} is"),
        (Ordered.NUMBER, Op.GT): ("{fact} hoger is dan {value}", "{fact} niet hoger is dan {value}"),
        (Ordered.NUMBER, Op.GE): ("{fact} minstens {value} is", "{fact} niet minstens {value} is"),
        (Ordered.DAY, Op.LT): ("{fact} vóór {value} valt", "{fact} niet vóór {value} valt"),
        (Ordered.DAY, Op.LE): ("{fact} op of vóór {value} valt", "{fact} niet op of vóór {value} valt"),
        (Ordered.DAY, Op.GT): ("{fact} na {value} valt", "{fact} niet na {value} valt"),
        (Ordered.DAY, Op.GE): ("{fact} op of na {value} valt", "{fact} niet op of na {value} valt"),
    },
    counted={
        Op.EQ: "het aantal {fact} {value} is",
        Op.NE: "het aantal {fact} niet {value} is",
        Op.IN: "het aantal {fact} {value} is",
        Op.NOT_IN: "het aantal {fact} niet {value} is",
        Op.LT: "er minder dan {value} {fact} zijn",
        Op.LE: "er hoogstens {value} {fact} zijn",
        Op.GT: "er meer dan {value} {fact} zijn",
        Op.GE: "er minstens {value} {fact} zijn",
    },
    some="er {fact} zijn",
    none="er geen {fact} zijn",
    at_once="meteen",
    always="in alle gevallen",
    never="in geen geval",
    ends={
        End.WITHDRAW: "{consent} intrekt",
        End.OBJECT: "bezwaar maakt tegen direct marketing",
        End.ERASE: "ons vraagt de gegevens te wissen",
    },
    steps={
        DispositionKind.DELETE: "verwijderen we de gegevens",
        DispositionKind.PSEUDONYMISE: "pseudonimiseren we de gegevens",
        DispositionKind.REVIEW: "beslist een medewerker wat er met de gegevens gebeurt",
    },
    treatments={
        TreatmentKind.CLEAR: "we wissen {fields}",
        TreatmentKind.CONSTANT: "we vervangen {fields} door een vaste tekst",
        TreatmentKind.PSEUDONYM: "we vervangen {fields} door een pseudoniem",
        TreatmentKind.TRUNCATE: "we verwijderen het laatste deel van {fields}",
        TreatmentKind.GENERALISE: "we bewaren {fields} minder nauwkeurig",
        TreatmentKind.RANDOM: "we vervangen {fields} door een code zonder betekenis",
        TreatmentKind.SCRUB: "we halen uit {fields} wat naar jou verwijst, voor zover dat automatisch te herkennen is",
    },
    phrases={
        Phrase.KEEP: "We bewaren deze gegevens {how_long}.",
        Phrase.KEEP_IF: "Als {condition}, bewaren we deze gegevens {how_long}.",
        Phrase.KEEP_INSTEAD: "Als {condition}, bewaren we deze gegevens in plaats daarvan {how_long}.",
        Phrase.FOR: "tot {period} na {start}",
        Phrase.UNTIL: "tot {start}",
        Phrase.UNTIL_YOU: "tot je {ends}",
        Phrase.WITHOUT_END: "zonder vaste einddatum",
        Phrase.UNLESS_SOONER: "{how_long}, tenzij je eerder {ends}",
        Phrase.CONSENT: "je toestemming",
        Phrase.NAMED_CONSENT: "je toestemming {name}",
        Phrase.GAVE: "je ons {consent} gaf",
        Phrase.IN_TIME: "{gave} voordat de termijn van {purpose} voorbij was",
        Phrase.PROMISED: "Viel {event} op of vóór {day}, dan geldt de kortere termijn van {period} die we toen beloofden.",
        Phrase.NOT_REVIVED: "Liep de eerdere termijn van {period} uiterlijk op {day} af, dan blijft het daarbij.",
        Phrase.WAITING: "Laat {event}, gerekend vanaf {after}, langer dan {period} op zich wachten, dan kijkt een van ons ernaar.",
        Phrase.WAITING_AT_ONCE: "Moet {event} na {after} nog komen, dan kijkt een van ons ernaar.",
        Phrase.STATE: "het einde van de tijd waarin {condition}",
        Phrase.STATE_ENDED: "het einde van de tijd waarin {condition} ({ended}, als die dag is vastgelegd)",
        Phrase.SEEN: "Daarbij telt de dag waarop we voor het eerst zien dat het voorbij is.",
        Phrase.SEEN_OTHERWISE: "Is het einde niet vastgelegd, dan telt de dag waarop we voor het eerst zien dat het voorbij is.",
        Phrase.SETTLING: "Daarna wachten we minstens {period}, voor het geval dat niet klopte.",
        Phrase.REST: "de rest",
        Phrase.DATA: "Het gaat om {fields}.",
        Phrase.SHARED: "We delen deze gegevens met {recipients}.",
        Phrase.SHARED_FOR: "Hiervoor delen we ze met {recipients}.",
        Phrase.THEN: "Daarna {step}.",
        Phrase.DEPENDS: "Wat er daarna gebeurt, hangt ervan af.",
        Phrase.THEN_IF: "Als {condition}, {step}.",
        Phrase.OTHERWISE: "In alle andere gevallen {step}.",
        Phrase.AFTER_STEP: "{period} later {step}",
        Phrase.AGAIN: "{step} (en hoogstens {period} later opnieuw)",
        Phrase.REVIEWER: "beoordeling door {owner}",
        Phrase.WINDOW: "Dat doen we binnen {period}.",
        Phrase.BACKUPS: "Uiterlijk {period} na het verwijderen zijn de gegevens ook uit onze back-ups verdwenen.",
        Phrase.SUPPRESS: "Tot {period} na het verwijderen bewaren we een kenmerk, met een geheime sleutel, dat een import tegenhoudt.",
        Phrase.WATCH: "Tot {period} na het verwijderen bewaren we een kenmerk, met een geheime sleutel gemaakt, dat zegt of ze terugkomen.",
        Phrase.EARLIER: "Gegevens die voor geen enkel doel meer nodig zijn, wachten niet op de rest: {treatments}.",
        Phrase.FOLLOWS: "Met de laatste van deze gegevens verwijderen we ook {fields}.",
        Phrase.PSEUDONYMS: (
            "Gepseudonimiseerde gegevens blijven persoonsgegevens: wie de sleutel heeft, kan ze weer tot jou herleiden. Die sleutel "
            "bewaren we apart."
        ),
        Phrase.SCRUBBED: (
            "Uit {fields} haalt een programma je namen, adressen en nummers. Het herkent niet alles: laat het ons weten als het iets heeft "
            "gemist."
        ),
        Phrase.FOR_CLIENT: (
            "We verwerken deze gegevens in opdracht van een klant, die erover beslist. Je verzoeken geven we aan die klant door."
        ),
        Phrase.FOR_NAMED_CLIENT: (
            "We verwerken deze gegevens in opdracht van {client}, die erover beslist. Je verzoeken geven we aan {client} door."
        ),
        Phrase.FROM_DAY: "geldt vanaf {day}",
        Phrase.THROUGH: "{first} tot en met {last}",
    },
    titles={
        Title.STATEMENT: "Hoe lang we je persoonsgegevens bewaren",
        Title.INTRODUCTION: "{organisation} bewaart persoonsgegevens niet langer dan nodig is voor de doelen hieronder.",
        Title.REGISTER: "Register van verwerkingsactiviteiten",
        Title.SCOPE: (
            "{organisation}: doelen, grondslagen, categorieën, ontvangers en bewaartermijnen (AVG 30 lid 1 onder b, c, d en f), gemaakt "
            "uit het beleid dat wordt uitgevoerd. Contactgegevens, doorgifte aan derde landen en beveiligingsmaatregelen staan er niet in "
            "en moeten worden aangevuld."
        ),
        Title.CLASSES: "Verwijderklassen",
        Title.CLASSES_SCOPE: "Elk startmoment met elke termijn die ermee begint, en de doelen in die klasse (naar DIN 66398).",
        Title.STANDARD: "Standaardtermijnen",
        Title.ODD_YEARS: (
            "Afwijkende boekjaren: {years}. Waar een termijn aan het einde van een boekjaar begint, telt “minimaal” zowel in boekjaren als "
            "in kalenderjaren, en geldt het laatste van de twee; “maximaal” telt in kalenderjaren."
        ),
        Title.DECLARED: "Wat geen systeem afdwingt",
        Title.DECLARED_SCOPE: (
            "Een verklaring is wat iemand bevestigt en een periodieke controle wat iemand bekijkt, minstens zo vaak als vermeld. Voor een "
            "leemte is nog niets vastgelegd."
        ),
        Title.KIND: "Soort",
        Title.ATTESTATION: "verklaring",
        Title.REVIEW: "periodieke controle",
        Title.GAP: "leemte",
        Title.WHAT: "Wat",
        Title.CATEGORIES: "Categorieën",
        Title.EVERY: "Opnieuw binnen",
        Title.WITHOUT_POLICY: "Zonder beleid, dus zonder termijn",
        Title.WITHOUT_PURPOSE: "Zonder doel, dus zonder termijn",
        Title.PEOPLE: "Bestand en betrokkenen",
        Title.PURPOSE: "Doel",
        Title.BASIS: "Grondslag",
        Title.DATA: "Persoonsgegevens",
        Title.RECIPIENTS: "Ontvangers",
        Title.PERIOD: "Termijn",
        Title.START: "Gerekend vanaf",
        Title.CONDITION: "Alleen als",
        Title.AFTERWARDS: "Daarna",
        Title.CLAUSE: "Waar beloofd",
        Title.VERSION: "Versie",
        Title.OWNER: "Intern verantwoordelijk",
        Title.NO_START: "geen startmoment",
        Title.NO_PERIOD: "geen vaste einddatum",
    },
    closing=(
        "Bewaren we dezelfde gegevens voor meer dan één doel, dan telt het doel dat het langst duurt.",
        (
            "Je kunt ons altijd vragen je gegevens te wissen, je toestemming intrekken of bezwaar maken. We bewaren dan alleen nog wat "
            "voor de overige doelen nodig is, bijvoorbeeld omdat de wet het voorschrijft, en laten je weten welke dat zijn en tot wanneer."
        ),
        "Zolang er een juridisch geschil over loopt, of als je ons vroeg het gebruik te beperken, verwijderen we niets.",
        "Kunnen we niet vaststellen of een termijn voorbij is, dan verwijderen we niet automatisch, maar kijkt een van ons ernaar.",
    ),
)
