"""Webhooks: what happened is told to partners' endpoints, signed, until they have it."""
