"""Files that a person gives to be checked, before any index has them."""
