"""Code that the scripts of the paper's tables and figures share."""
