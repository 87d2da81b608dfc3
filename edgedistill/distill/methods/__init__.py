"""Methods of distillation: what a recipe's `distill.losses` can name. Describing and listing them loads no torch."""
