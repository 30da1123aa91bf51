"""A third party's additions to fld-engine."""
