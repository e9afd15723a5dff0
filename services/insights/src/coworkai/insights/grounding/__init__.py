"""The grounding gate: what may be published (domain, section 5).

    statement + facts ─ violations ─▶ []                      may be published
                                      [Violation(rule, …)]    repaired once, else replaced

The gate refuses what it does not understand: a statement passes when each of its words is known, and what the
known words say follows from the facts it cites. It judges the writer's words only; a name or text that a
fact brings is a quotation.
"""

from coworkai.insights.grounding.gate import Violation, violations
from coworkai.insights.grounding.lexicon import Rule

__all__ = ["Rule", "Violation", "violations"]
