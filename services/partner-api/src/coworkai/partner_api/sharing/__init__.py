"""Delta Sharing: the Gold tables of a tenant by the open protocol, at their published versions."""
