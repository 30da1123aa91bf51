"""How often twins and copies are found, and how often others are taken for them."""
