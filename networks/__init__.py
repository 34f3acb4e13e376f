"""What every technique does with a network: leave it as it was, choose its score, find a layer, replace ReLUs."""
