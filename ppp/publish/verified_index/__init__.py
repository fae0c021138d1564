"""The verified index: for each environment a simple index (PEP 503, 691, 658, 700) of the files that passed there."""
