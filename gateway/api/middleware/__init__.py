"""What each request passes before and after its handler: connections, envelope, guard, rates, idempotency."""
