"""The routes, a module a resource. Each declares what it needs of its caller with `guarded`."""
