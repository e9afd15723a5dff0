"""Adapters of the port in `llm.py`, one a provider. Each imports its provider's library, some of which take
seconds, so `open_model` imports only the one that is asked for."""

from __future__ import annotations

from coworkai.insights.llm import Adapter, BoundedModel, ModelSettings, Provider


def open_model(settings: ModelSettings) -> BoundedModel:
    """The model of the settings, ready to be called; whoever opens it closes it. Nothing is sent yet.

    Google's libraries find their credentials in the environment. Raises SettingsError.
    """
    return BoundedModel(_adapter(settings), settings)


def _adapter(settings: ModelSettings) -> Adapter:
    match settings.provider:
        case Provider.GEMINI:
            from coworkai.insights.models.gemini import WorkHorseLLM

            return WorkHorseLLM(settings)
        case Provider.ENDPOINT:
            from coworkai.insights.models.endpoint import EndpointModel

            return EndpointModel(settings)
        case Provider.OPENAI:
            from coworkai.insights.models.openai import OpenAIModel

            return OpenAIModel(settings)
