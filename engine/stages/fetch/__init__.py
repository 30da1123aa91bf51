"""From a list of addresses to tars of what was there."""
