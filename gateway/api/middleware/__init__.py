"""What runs before and after each request's handler: connections, envelope, guard, rates, idempotency."""
