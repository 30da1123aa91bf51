"""Annotators that ask a model behind an OpenAI-compatible endpoint, such as one that vLLM serves."""
