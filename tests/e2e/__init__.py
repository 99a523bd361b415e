"""A package so that its sandbox can end with the last of its tests."""
