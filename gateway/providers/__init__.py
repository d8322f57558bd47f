"""What the rate card, requests and workers all must know of providers: workflow files, controls of the sandbox."""
