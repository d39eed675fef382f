"""The hypothesis profile of every test: repeatable in CI, exploring elsewhere."""

import os

from hypothesis import settings

settings.register_profile(
    "npsqueeze",
    max_examples=30,
    deadline=None,  # the first example of a kernel pays for its compilation
    derandomize="CI" in os.environ,
)
settings.load_profile("npsqueeze")
