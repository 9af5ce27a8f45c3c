"""Analytical bounds, learned residuals, power, and the predictor that joins them."""
