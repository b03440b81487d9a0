"""The same jobs done with what a person would use instead. requirements.txt names what that needs."""
