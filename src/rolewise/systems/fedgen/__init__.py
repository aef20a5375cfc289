"""FedGen: federated learning in which a generator of features carries what the clients know."""
