"""What the parent and its children say to each other, and the pipes between them."""
