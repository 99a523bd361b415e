"""Builds the package that Azure runs, deploys it, and checks that it runs. This folder itself is not deployed.

Start at package.py (`make package`) and deploy.py (`make deploy`). Why it is built like this:
docs/decisions/0007-package.md and 0021-deployment.md.
"""


class DeploymentError(Exception):
    """The package cannot be built or deployed, or does not run. The text says what is wrong and what to do."""
