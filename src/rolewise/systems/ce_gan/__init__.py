"""CE-GAN: generators that evolve by mutation, crossover by distillation, and selection."""
