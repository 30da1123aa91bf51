"""Another chance for images that failed."""
