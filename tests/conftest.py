"""Settings that every test shares."""

from hypothesis import settings

# Machines that run tests are busy: a slow example is no failure. The same examples every time, so that CI is steady.
settings.register_profile("steady", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("steady")
