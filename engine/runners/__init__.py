"""Two ways to run the same tasks: local processes or Ray actors."""
