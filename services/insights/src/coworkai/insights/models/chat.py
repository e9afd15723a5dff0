"""How the reply of a chat completion ended, whoever served it."""

from __future__ import annotations

from coworkai.insights.llm import Finish

_FINISH = {"stop": Finish.STOP, "length": Finish.LENGTH}


def finish_of(finish_reason: object) -> Finish:
    """None is a reply that broke off; a word that is neither its end nor its limit is a block."""
    if finish_reason is None:
        return Finish.BROKEN_OFF
    return _FINISH.get(str(finish_reason), Finish.BLOCKED)
