"""What is known of a payment, and how it reads as one line in time."""
