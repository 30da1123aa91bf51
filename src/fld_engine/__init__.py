"""The data engine behind FLD-5B-style datasets.

The six parts are folders at the top of the repository, linked here: `schemas`, `engine`, `annotators`, `filters`,
`refinement` and `flows`. They are imported under this name alone.
"""
