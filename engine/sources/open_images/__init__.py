"""Open Images V4 to V7."""
