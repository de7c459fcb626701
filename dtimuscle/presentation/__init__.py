"""Tables, figures and pages: typed results in, exhibits and HTML out. Nothing is computed here."""
