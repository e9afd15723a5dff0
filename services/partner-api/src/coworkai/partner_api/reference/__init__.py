"""The reference page: the OpenAPI document as one page for people, that loads nothing."""
