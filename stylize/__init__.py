"""What the optimisation of style transfer consists of: solvers, layers and weights, colour."""
