"""The parts of the capacity model: numbers in, numbers out."""
