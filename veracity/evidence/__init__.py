"""From decoded sound and frames to what the models are asked, and from their outputs to a score a clip."""
