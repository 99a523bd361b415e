"""Making the package that Azure runs, putting it there, and asking whether it runs; itself it is never deployed.

`python -m deployment.package` builds it, `python -m deployment.publish` sends it to Azure, and `python -m
deployment.check` compares the functions that Azure has found with those of the package. Why it is built like this:
docs/decisions/0007-package.md.
"""
