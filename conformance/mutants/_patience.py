"""A pytest plugin for trials: tests wait a few seconds instead of minutes.

It is loaded before the suites are, which take the number over when they are imported.
"""

import moorage_conformance._subject

# The good plugin's fake answers at once, and waits for a mutant are often in vain.
moorage_conformance._subject.PATIENCE_S = 10.0  # noqa: SLF001  # the suite's own program
