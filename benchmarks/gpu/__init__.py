"""One command for one GPU and ten minutes: is the training engine right there, and how fast is it? See `__main__`."""
