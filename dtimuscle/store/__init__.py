"""Files: the only package that knows their names, reads them and writes them."""
