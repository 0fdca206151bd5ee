"""The HTTP server: typed requests in, one call to `intentcast.scoring`, typed answers out."""
