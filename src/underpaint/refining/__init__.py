"""Pictures close to one that nearly works: the requests around it, and the renders of them.

``neighbours`` and ``planning`` decide what will run and import no torch.
"""
