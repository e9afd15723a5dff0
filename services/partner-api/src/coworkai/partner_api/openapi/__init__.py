"""The OpenAPI document of this API: made from the routes, kept in the repository, never broken unawares."""
