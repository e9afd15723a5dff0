"""CoworkAI."""
