"""One optimisation: methods, splits and seeds come in; trained parameters and their history go out.

`trainer.train` does it all; `feed` makes batches, `step` moves the parameters, `stack` holds replicas,
`selection` keeps the best epoch, `predict` scores, `checkpoints` saves.
"""
