"""Tables, sources, store, runners and stages: the machinery that knows no model."""
