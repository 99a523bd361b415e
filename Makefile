# Everything here needs only python3 (3.13), Node 20 and the package registries. What it sets up stays in the checkout:
# .venv and sandbox/node_modules, remade when their lock files change.
.DELETE_ON_ERROR:
.PHONY: help run test proof mutants chaos bench preview check-routes deploy secret package test-package publish rollback first-publish preflight check-deployed infra infra-write checkov check lint types lock clean
.DEFAULT_GOAL := help

PYTHON ?= python3
# More than cores: the end-to-end tests wait for most of their time.
WORKERS ?= 4
BIN    := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Tests start many programs; each would compile the same modules anew.
unexport PYTHONDONTWRITEBYTECODE

NEEDS_PYTHON = $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' || \
	{ echo "Mailroom needs Python 3.13, as Azure runs it; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.13 …" >&2; exit 1; }

help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

run: .venv/.ready sandbox/node_modules/.ready ## the sandbox: Mailroom and everything it needs, on this machine; options in ARGS='…'
	@$(BIN)/python -m sandbox $(ARGS)

test: .venv/.ready sandbox/node_modules/.ready ## the fast tests, a few minutes; some of them: ARGS='-k …'
	$(PYTEST) -p tests.suite -qq -o console_output_style=classic -n $(WORKERS) -m 'not proof' $(ARGS)

proof: .venv/.ready sandbox/node_modules/.ready ## the long proofs
	$(PYTEST) -m proof $(ARGS)
	$(PYTEST) -m 'hypothesis and not proof' --hypothesis-profile=long $(ARGS)
	$(if $(ARGS),,@$(MAKE) --no-print-directory test-package)

mutants: .venv/.ready sandbox/node_modules/.ready ## plant known faults, one after the other: does a test catch each? some: ARGS='rate-* --jobs 2'
	@$(BIN)/python -m tests.mutants $(ARGS)

chaos: .venv/.ready sandbox/node_modules/.ready ## kill, cut and throttle for a while, then count; options in ARGS
	@$(BIN)/python -m tests.chaos $(ARGS)

bench: .venv/.ready sandbox/node_modules/.ready ## what a mail costs, beside others; one part: PART=mail; options in ARGS
	@$(BIN)/python -m bench $(PART) $(ARGS)

preview: .venv/.ready ## the examples of all routes as mails, in a page; your own: ROUTES=…; one: ROUTE=… EVENT=…
	@$(BIN)/python -m sandbox.preview $(if $(ROUTES),--routes '$(ROUTES)') $(if $(ROUTE),--route '$(ROUTE)') \
		$(if $(EVENT),--event '$(EVENT)') $(ARGS)

check-routes: .venv/.ready ## what is wrong with routes, their templates and examples, for CI; your own: ROUTES=…
	@$(BIN)/python -m sandbox.route_checks $(if $(ROUTES),--routes '$(ROUTES)') $(ARGS)

# What is missing on this machine is said before anything is set up or built.
deploy: ## into Azure, with az: ENV=prod; a new resource group: LOCATION=…; YES=1 asks nothing; ALLOW_EMPTY=… loses settings
	@$(NEEDS_PYTHON)
	@$(PYTHON) -m deployment.deploy $(DEPLOY) --ready
	@$(MAKE) --no-print-directory package
	@$(PYTHON) -m deployment.deploy $(DEPLOY)
DEPLOY = --environment '$(ENV)' $(if $(GROUP),--group '$(GROUP)') $(if $(LOCATION),--location '$(LOCATION)') \
	$(if $(ALLOW_EMPTY),--allow-empty '$(ALLOW_EMPTY)') $(if $(YES),--yes) $(ARGS)

secret: .venv/.ready ## a route's secret, into the vault: ROUTE=github ENV=prod; to rotate it: ROTATE=1, later DROP_OLD=1
	@$(BIN)/python -m deployment.secret --route '$(ROUTE)' $(if $(ENV),--environment '$(ENV)') \
		$(if $(GIVEN),--given) $(if $(ROTATE),--rotate) $(if $(DROP_OLD),--drop-old) $(if $(ROUTES),--routes '$(ROUTES)') $(ARGS)

package: .venv/.ready ## dist/mailroom.zip, what Azure runs, and dist/package, the same unpacked; with your own ROUTES=…
	@$(BIN)/python -m deployment.package $(if $(ROUTES),--routes '$(ROUTES)')

test-package: package sandbox/node_modules/.ready ## the end-to-end tests on the package alone, on Linux on x86-64 as Azure
	MAILROOM_APP=dist/package $(PYTEST) -p tests.suite -qq -o console_output_style=classic -n 2 -m 'not proof' tests/e2e $(ARGS)

publish: .venv/.ready ## deploy dist/mailroom.zip with az's login, without azd; which app, in ARGS='…'
	@$(BIN)/python -m deployment.publish $(ARGS)

rollback: .venv/.ready ## the code of another version, and nothing else: ENV=prod TO=v0.1.0
	@$(BIN)/python -m deployment.rollback --to '$(TO)' $(if $(ENV),--environment '$(ENV)') $(if $(ROUTES),--routes '$(ROUTES)') $(ARGS)

first-publish: .venv/.ready # azd calls this before its own deployment, which does not wait for roles
	@$(BIN)/python -m deployment.publish --first

preflight: # azd calls this before it provisions
	@$(NEEDS_PYTHON)
	@$(PYTHON) -m deployment.preflight

check-deployed: .venv/.ready ## whether Azure has found the functions of the package; which app, in ARGS='…'
	@$(BIN)/python -m deployment.check $(ARGS)

infra: .venv/.ready ## the Bicep files: lint, format, build, and whether what is made of them is current; needs bicep
	@$(BIN)/python -m deployment.infra check

infra-write: .venv/.ready ## format them, and write azuredeploy.json and the snapshots anew; needs bicep
	@$(BIN)/python -m deployment.infra write

checkov: .venv/.ready ## what checkov says of the resources that would be deployed
	@$(BIN)/python -m deployment.infra checkov

check: lint types test ## what CI runs

lint: .venv/.ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.ready
	$(BIN)/mypy

# Compiled for what Azure runs, whatever machine compiles it, and without index addresses.
COMPILE = $(BIN)/uv pip compile -q --upgrade --python-version 3.13 --python-platform x86_64-manylinux_2_28 \
	--generate-hashes --no-emit-index-url --custom-compile-command 'make lock' pyproject.toml
lock: .venv/.ready ## resolve pyproject.toml and sandbox/package.json anew into the lock files
	$(COMPILE) -o requirements.txt
	$(COMPILE) --group dev -c requirements.txt -o requirements-dev.txt
	cd sandbox && npm install --package-lock-only --omit-lockfile-registry-resolved --no-fund --no-audit

clean: ## remove what the targets above have set up
	rm -rf .venv .bench .preview dist sandbox/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/.ready: requirements-dev.txt
	@$(NEEDS_PYTHON)
	@echo "Setting up Python packages in .venv (a minute or two, once)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.txt
	@touch $@

sandbox/node_modules/.ready: sandbox/package-lock.json
	@node -e 'process.exit(+process.versions.node.split(".")[0] < 20 ? 1 : 0)' || \
		{ echo "Mailroom's sandbox needs Node 20 or newer for Azurite and MailDev." >&2; exit 1; }
	@echo "Setting up npm packages in sandbox/node_modules (about a minute, once)"
	@cd sandbox && npm ci --no-fund --no-audit --loglevel=error
	@touch $@
