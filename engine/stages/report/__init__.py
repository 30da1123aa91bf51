"""The coverage report: mergeable aggregates of every partition, their merge, and the pages that a browser opens."""
