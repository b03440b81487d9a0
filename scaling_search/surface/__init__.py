"""Accuracy as a surface over the triangle of shares: what is known of it before and after the trainings."""
