"""Console commands, one thin module each; libraries never import them."""
