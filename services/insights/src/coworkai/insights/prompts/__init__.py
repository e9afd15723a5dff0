"""What models are asked: the texts, by version, and `fill.py`, which fills them."""
