"""Models that package registries ship: which they are, how they get onto this machine, how they become ONNX files."""
