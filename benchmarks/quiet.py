"""Progress bars and advice of the libraries, which would stand between a benchmark's own lines."""


def quieten() -> None:
    """Keeps what diffusers and transformers say to themselves."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    for library in (of_diffusers, of_transformers):
        library.set_verbosity_error()
        library.disable_progress_bar()
