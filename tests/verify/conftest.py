"""Builds and recordings of these tests stay out of the user's cache."""

from tests.rtl.conftest import own_cache

__all__ = ["own_cache"]
