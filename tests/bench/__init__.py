"""What things cost. Figures are ratios of runs that took turns on one machine: these machines are shared and noisy."""
