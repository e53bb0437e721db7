"""One small file a server, which declares its `Dialect`: whatever lies here is known to the whole tool."""
