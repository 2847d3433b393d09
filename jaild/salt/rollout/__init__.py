"""Rollouts over hosts, on a master: what `jaild_rollout` of runners and of execution modules is made of."""
