"""Annotators with models that package registries ship: they run on any machine, on one core."""
