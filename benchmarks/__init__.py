"""Measurements beside peers; no part of the tests."""
