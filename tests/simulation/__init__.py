"""The whole of durable execution in one thread of time: real code, simulated surroundings, every interleaving."""
