"""Assembly: recipes, Prefect flows and the command line."""
