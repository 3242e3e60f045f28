"""The wallets, as they stand in the rows."""

APPLE, GOOGLE = "apple", "google"
