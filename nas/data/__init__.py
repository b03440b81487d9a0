"""The images: found, split, decoded once into a cache, augmented, fed in batches."""
