"""What a study claims, and whether new data bear it out."""
