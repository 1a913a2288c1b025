"""How a problem is solved: each algorithm turns problems into plans."""
