"""What may be told of groups: blocks that are safe to publish, and the cells that are made of them."""
