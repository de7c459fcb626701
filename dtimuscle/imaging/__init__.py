"""From a diffusion series to muscle values: preprocessing, mask, tensor, regions of interest, quality."""
