"""Recipes that ship with the engine: `demo`, `laptop`."""
