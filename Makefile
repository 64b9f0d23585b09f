# make demo: base install, then harmonize the example. make test: lint, types, tests.

PYTHON ?= python3
PIP := -m pip --disable-pip-version-check --quiet install

.PHONY: demo test check page clean

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

# The page as static files, with the network in the browser. The one thing that needs Node.
page: site/node_modules/ready
	node site/build.mjs

site/node_modules/ready: site/package.json site/package-lock.json
	cd site && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

clean:
	rm -rf .venv .venv-test demo dist site/node_modules

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
		--editable ".[plot,evaluate,train,labels,web,video,cluster]" --group test --group lint
	touch $@
