"""What annotators of several rooms use: crops, outlines, class names, prompts, and the model cache of this machine."""
