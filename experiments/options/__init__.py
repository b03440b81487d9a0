"""What can be asked: options declared once; the command, presets, checks and docs/options.md follow from them."""
