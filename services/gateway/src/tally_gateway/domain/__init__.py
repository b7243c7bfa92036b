"""What the gateway decides by itself: who may reach what, how often, and which fields they see."""
