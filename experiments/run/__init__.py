"""An opened run: its folder, settings, data, devices, forecast and progress."""
