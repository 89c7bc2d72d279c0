"""Speed and memory of training and inference, and a comparison with a plain PyTorch program."""
