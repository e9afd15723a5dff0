"""A model of one's own, deployed behind a Vertex AI Endpoint.

Its container is asked in the chat format that vLLM and Model Garden's containers take as an instance, and
answers as a chat completion; one that answers with a bare string is understood too. The library's calls
block, so they run in threads of this adapter, each with the time limit of an attempt.

Importing this module takes some ten seconds: the library does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import requests
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import aiplatform
from google.protobuf.json_format import ParseError

from coworkai.common.errors import SettingsError
from coworkai.insights.llm import (
    A,
    Finish,
    Malformed,
    ModelSettings,
    Prompt,
    Rejected,
    Reply,
    Unavailable,
    failed,
)
from coworkai.insights.models.chat import reply_of

_THREADS = 16


class EndpointModel:
    """Adapter of one endpoint. Without `credentials`, those of the environment.

    The library keeps its transport and `base_url` for the whole process: two endpoints of one process are
    either both Google's or at the same `base_url`. Raises SettingsError.
    """

    def __init__(self, settings: ModelSettings, credentials: Credentials | None = None) -> None:
        self._settings = settings
        try:
            aiplatform.init(
                project=settings.project,
                location=settings.location,
                credentials=credentials,
                api_endpoint=settings.base_url,
                api_transport="rest",
            )
            self._endpoint = aiplatform.Endpoint(
                str(settings.endpoint),
                project=settings.project,
                location=settings.location,
                credentials=credentials,
            )
        except (ValueError, GoogleAuthError):
            raise SettingsError(
                "Vertex AI's endpoint cannot be opened",
                remedy="check its location, its name and Google's credentials",
            ) from None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="endpoint")

    async def reply(self, prompt: Prompt[A]) -> Reply:
        instance = {
            "@requestFormat": "chatCompletions",
            "messages": [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            "max_tokens": self._settings.max_output_tokens,
            "temperature": 0,
        }
        loop = asyncio.get_running_loop()
        predictions = await loop.run_in_executor(self._threads, self._predict, instance)
        return _reply(predictions, self._settings.model)

    async def count_tokens(self, text: str) -> int | None:
        """None: the containers are not asked."""
        return None

    async def aclose(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _predict(self, instance: Mapping[str, object]) -> object:
        timeout_s = self._settings.timeout_s
        with _failures():
            if not self._endpoint.dedicated_endpoint_enabled:
                return self._endpoint.predict(instances=[instance], timeout=timeout_s).predictions
            # Of a dedicated endpoint `predict` hides the status in a message, with the reply.
            response = self._endpoint.raw_predict(
                body=json.dumps({"instances": [instance]}).encode(),
                headers={"Content-Type": "application/json"},
                timeout=timeout_s,
            )
            if response.status_code != requests.codes.ok:
                raise failed(response.status_code, response.headers.get("retry-after"))
            answer = response.json()
            return answer.get("predictions") if isinstance(answer, dict) else None
        raise AssertionError


def _reply(predictions: object, model: str) -> Reply:
    """The reply in what an endpoint predicted: a chat completion or a string, alone or first of a list."""
    first = predictions[0] if isinstance(predictions, list) and predictions else predictions
    return Reply(first, Finish.STOP, "none", model) if isinstance(first, str) else reply_of(first, model)


@contextmanager
def _failures() -> Iterator[None]:
    """The library's errors as ours; theirs quote replies."""
    try:
        yield
    except GoogleAPICallError as error:
        headers = getattr(error.response, "headers", {})
        raise failed(int(error.code or 500), headers.get("retry-after")) from None
    except ParseError:
        raise Malformed("the endpoint's prediction could not be read") from None
    except GoogleAuthError as error:
        if error.retryable:
            raise Unavailable("Google's credentials could not be refreshed") from None
        raise Rejected("there are no credentials of Google that are accepted") from None
    except requests.exceptions.JSONDecodeError:
        raise Malformed("the endpoint's prediction is not JSON") from None
    except (requests.exceptions.RequestException, RetryError):
        raise Unavailable("the endpoint could not be reached, or broke off") from None
