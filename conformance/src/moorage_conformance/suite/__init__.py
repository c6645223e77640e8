"""The whole suite, as pytest collects it: `pytest --pyargs moorage_conformance.suite`."""
