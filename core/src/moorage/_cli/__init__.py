"""The `moorage` command: it parses, calls the portable API and prints what that returns."""
