"""The attributes of a trial in its study: their names, and what is read back from them."""

REPEAT = "scalenas:repeat"
"""System attribute by which a sampler says that it knows this network, and wants it trained again with a seed not used
yet."""
