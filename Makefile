# make demo: base install, then harmonize the example. make test: lint, types, tests.

PYTHON ?= python3
PIP := -m pip --disable-pip-version-check --quiet install

.PHONY: demo test check clean

demo: .venv/ready
	mkdir -p demo
	.venv/bin/imharmony harmonize examples/composite.png examples/mask.png \
		--output demo/harmonized.png --strip demo/strip.png --overwrite
	@echo "Look at demo/harmonized.png, and at demo/strip.png for before and after."

test: check
	.venv-test/bin/python -m pytest

check: .venv-test/ready
	.venv-test/bin/ruff check
	.venv-test/bin/ruff format --check
	.venv-test/bin/mypy
	.venv-test/bin/lint-imports --no-logo

clean:
	rm -rf .venv .venv-test demo

# The base install: what a user gets, without torch.
.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP) --editable .
	touch $@

# Everything: the train extra, test and lint tools. Groups need pip 25.1.
.venv-test/ready: pyproject.toml tests/constraints.txt
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/python $(PIP) "pip>=25.1"
	.venv-test/bin/python $(PIP) --constraint tests/constraints.txt \
		--editable ".[plot,evaluate,train,labels,web]" --group test --group lint
	touch $@
