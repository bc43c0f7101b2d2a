"""Learning with circuits: gradients with error bars, classifiers, regressors and kernels, on any fabric."""
