"""How fast the network trains and answers, what it needs, and how a plain PyTorch program compares."""
