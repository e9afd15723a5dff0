"""The commands of `coworkai`, by what they are about."""
