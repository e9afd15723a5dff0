"""What the sample organisation's people type, ask and declare, and the personal data planted in it.

Typed words (`TYPED`) are used nowhere else in the sample, so that one of them found in a lake is a leak of
typed text, not a coincidence. `Planter` makes personal data of every kind the product must recognise and
remembers each piece it made.
"""

from __future__ import annotations

import base64
import string
from dataclasses import dataclass, field
from random import Random

TYPED = (
    "apologies", "consignment", "whereabouts", "forklift", "pallets", "cinnamon", "demurrage", "haulage",
    "quotation", "surcharge", "waybill", "tarpaulin", "refrigerated", "stevedore", "reimbursement",
    "postponed", "countersigned", "misrouted", "transhipment", "bonded", "freight", "gantry", "lashing",
    "moorings", "nightfall", "perishable", "quayside", "rainproof", "salvage", "tonnage", "undelivered",
    "vestibule", "weighbridge", "yardmaster", "zealous", "brokerage", "carboy", "dunnage", "embargoed",
    "flatbed", "groupage", "hinterland", "incoterms", "jettison", "kerbside", "lighterage", "neighbour",
    "pilotage", "roadworthy", "seaworthy", "tachograph", "unbundled", "victualling", "wharfage",
    "xylophone", "almanac", "bollards", "cargoes", "dredger", "fenders", "hawsers", "isinglass", "jetties",
    "marzipan", "ullage",
)  # fmt: skip
"""The vocabulary of typed and copied text."""

REPLIED = ("certainly", "furthermore", "nevertheless", "straightforward", "walkthrough", "accordingly")
"""Words that only assistants use: their side of a chat is never kept."""

PROMPTS = (
    "How do I write a window function that keeps the last status per shipment?",
    "Summarise this thread for {email} and list what is still open.",
    "Our import job fails with a timeout after 30 s, what should I check first?",
    "Draft a polite answer to a client who was charged twice on card {card}.",
    "Explain the difference between a left join and a semi join with an example.",
    "Is there a simpler way to group these tickets by region?",
    "Turn these notes into three bullet points for the weekly review.",
    "The key {key} shows up in our logs, how do we rotate it safely?",
    "Suggest a title for the slide about delivery times in the second half of the year.",
    "Why does my test pass alone and fail in the suite?",
    "Translate this message into German, keep it friendly.",
    "What should I ask in a first interview with a data analyst?",
    "Write a regular expression for order numbers like NW-20391.",
    "Call back {phone} about the contract, what are good opening questions?",
    "I am blocked by the vendor's rate limit, which back-off would you use?",
    "Compare two ways to paginate a large table in the dashboard.",
    "Please check whether IBAN {iban} is well formed.",
    "Which chart shows a change of share over five months best?",
)
REPLY = "{0} {1}: here is a {2} answer, step by step."

GOALS = (
    "Finish the review of the routing change", "Close five tickets of the backlog",
    "Prepare the weekly report",
    "Write the migration plan", "Update the pricing sheet", "Refactor the billing export",
    "Interview two candidates", "Publish the dashboard", "Answer all escalations before noon",
    "Draft the launch page", "Clean the customer segments", "Plan the next sprint",
    "Fix the flaky import test",
    "Send the offer to the port authority", "Document the on-call steps",
)  # fmt: skip
FOCUS_AREAS = ("delivery", "quality", "customers", "hiring", "planning", "costs", "documentation")
KPIS = (
    ("Tickets closed", "tickets", 6, 14),
    ("Pull requests merged", "pull requests", 1, 5),
    ("Calls made", "calls", 5, 18),
    ("Pages drafted", "pages", 1, 6),
    ("Queries delivered", "queries", 2, 8),
)
REFLECTIONS = (
    "Good progress, the morning was calm.",
    "Too many interruptions after lunch.",
    "Blocked by access rights, asked for help.",
    "Finished earlier than planned.",
    None,
)

CONTROL_TOKENS = (
    "<Backspace>", "<Backspace><Backspace><Backspace>", "<Enter>", "<Tab>", "<Ctrl + c>", "<Ctrl + v>",
    "<Ctrl + z>", "<Ctrl + s>", "<Ctrl><Ctrl + a>", "<Delete>", "<Alt + Tab>", "<Left><Left>", "<Shift>",
)  # fmt: skip
LOOKALIKES = (
    "<email:0123456789abcdef01234567>",
    "user_0123456789abcdef01234567",
    "<Control-Alt-Confetti>",
    "<b>bold</b>",
)
"""Typed text that looks like a product token, or like a control token that does not exist."""


def phrase(random: Random, words: int) -> str:
    return " ".join(random.choices(TYPED, k=words))


@dataclass
class Planter:
    """Makes personal data and keeps a list of all it made, in `planted`."""

    random: Random
    planted: set[str] = field(default_factory=set)

    def _keep(self, value: str) -> str:
        self.planted.add(value)
        return value

    def email(self) -> str:
        name = "".join(self.random.choices(string.ascii_lowercase, k=7))
        return self._keep(f"{name}.{self.random.randrange(100, 999)}@client-mail.example")

    def phone(self) -> str:
        area, line = self.random.randrange(201, 989), self.random.randrange(100, 9999)
        return self._keep(f"+1 {area}-555-{line:04d}")

    def card(self) -> str:
        """A Visa number that passes Luhn, in groups of four."""
        digits = [4, *(self.random.randrange(10) for _ in range(14))]
        doubled = [d * 2 - 9 * (d > 4) if i % 2 == 0 else d for i, d in enumerate(digits)]
        digits.append(-sum(doubled) % 10)
        text = "".join(map(str, digits))
        self._keep(text)
        return self._keep(" ".join(text[i : i + 4] for i in range(0, 16, 4)))

    def iban(self) -> str:
        """A German IBAN with the right check digits."""
        account = "".join(str(self.random.randrange(10)) for _ in range(18))
        check = 98 - int(account + "131400") % 97
        return self._keep(f"DE{check:02d}{account}")

    def national_id(self) -> str:
        r = self.random
        return self._keep(f"{r.randrange(100, 665)}-{r.randrange(10, 99)}-{r.randrange(1000, 9999)}")

    def ip(self) -> str:
        return self._keep(f"10.{self.random.randrange(20, 250)}.{self.random.randrange(20, 250)}.17")

    def key(self) -> str:
        """An AWS, GitHub or JWT credential."""
        alnum = string.ascii_letters + string.digits
        match self.random.randrange(3):
            case 0:
                return self._keep(
                    "AKIA" + "".join(self.random.choices(string.ascii_uppercase + "234567", k=16))
                )
            case 1:
                return self._keep("ghp_" + "".join(self.random.choices(alnum, k=36)))
            case _:
                claims = base64.urlsafe_b64encode(self.random.randbytes(24)).decode().rstrip("=")
                signature = base64.urlsafe_b64encode(self.random.randbytes(32)).decode().rstrip("=")
                self._keep(signature)
                return self._keep(f"eyJhbGciOiJIUzI1NiJ9.eyJ{claims}.{signature}")

    def password(self) -> str:
        secret = self._keep("Hunter" + "".join(self.random.choices(string.ascii_letters, k=9)))
        return f"password={secret}"

    def query_value(self) -> str:
        return self._keep("q" + "".join(self.random.choices(string.ascii_lowercase + string.digits, k=15)))

    def any(self) -> str:
        """One piece of personal data of any kind, as it stands in free text."""
        makers = (
            self.email, self.phone, self.card, self.iban, self.national_id, self.ip, self.key, self.password,
        )  # fmt: skip
        return self.random.choice(makers)()

    def fill(self, template: str) -> str:
        """`template` with {email}, {card}, {phone}, {key} and {iban} filled in."""
        for name in ("email", "card", "phone", "key", "iban"):
            if f"{{{name}}}" in template:
                template = template.replace(f"{{{name}}}", getattr(self, name)())
        return template
