"""The tests of collabd."""
