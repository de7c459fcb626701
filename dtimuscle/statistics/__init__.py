"""What the values of muscles say about patients; tables in, typed and unrounded results out."""
