"""Long lists of packages, and the pages that they are cut into."""
