"""Loyalty cards for phone wallets: issue, update, scan, redeem."""
