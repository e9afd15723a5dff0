"""The reply in a chat completion, whoever served it."""

from __future__ import annotations

from coworkai.insights.llm import Finish, Malformed, Reply

_FINISH = {"stop": Finish.STOP, "length": Finish.LENGTH}


def reply_of(completion: object, model: str) -> Reply:
    """The reply in a completion as it came over the wire, by the name `model` where it gives none.

    Raises Malformed for anything else: servers leave out what they like.
    """
    match completion:
        case {"choices": [{"message": {**message}, **choice}, *_], **rest}:
            finish_reason, usage = choice.get("finish_reason"), rest.get("usage")
            counts = usage if isinstance(usage, dict) else {}
            details = counts.get("prompt_tokens_details")
            return Reply(
                text=str(message.get("content") or ""),
                finish=Finish.BLOCKED if message.get("refusal") else finish_of(finish_reason),
                finish_reason=str(finish_reason),
                model=str(rest.get("model") or model),
                input_tokens=_count(counts.get("prompt_tokens")),
                output_tokens=_count(counts.get("completion_tokens")),
                cached_tokens=_count(details.get("cached_tokens")) if isinstance(details, dict) else None,
            )
    raise Malformed("the server's reply is no chat completion")


def finish_of(finish_reason: object) -> Finish:
    """None is a reply that broke off; a word that is neither its end nor its limit is a block."""
    if finish_reason is None:
        return Finish.BROKEN_OFF
    return _FINISH.get(str(finish_reason), Finish.BLOCKED)


def _count(tokens: object) -> int | None:
    # Numbers that came through a protobuf structure are floats.
    return int(tokens) if isinstance(tokens, int | float) else None
