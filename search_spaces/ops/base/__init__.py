"""What the ops share: the class of all stages, fields that several have, parts of blocks, public names."""
