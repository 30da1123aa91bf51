"""Models that package registries ship: which they are, where they are cached, how they become ONNX files."""
