"""What makes a checkout ready; see scripts/prepare.py."""
