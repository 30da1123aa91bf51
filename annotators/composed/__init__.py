"""Annotators that write by rule: texts that state facts, phrases matched by name, and the fake for tests."""
