"""The local stack: embedded PostgreSQL and Valkey, and the supervisor that keeps the services running."""
