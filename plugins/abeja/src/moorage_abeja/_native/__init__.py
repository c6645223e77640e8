"""The nouns of the client: one module for each."""
