"""What proves moorage and its providers."""
