"""The tests: ``trial tests`` runs them all."""
