# make demo: base install, then harmonize the example. make test: lint, types, tests.
# make docs: the documentation in build/docs/. make dist: wheel and sdist in dist/, tried out.
# make coverage: the tests again, counting lines and branches.

PYTHON ?= python3
PIP := -m pip --disable-pip-version-check --quiet install
SCHEMA := .venv-test/bin/check-jsonschema --quiet --builtin-schema

.PHONY: demo test test-base check docs dist coverage page container clean

demo: .venv/ready
	mkdir -p demo
	.venv/bin/imharmony harmonize examples/composite.png examples/mask.png \
		--output demo/harmonized.png --strip demo/strip.png --overwrite
	@echo "Look at demo/harmonized.png, and at demo/strip.png for before and after."

# The tests of one file stay together: they share what is slow to make. A worker a core.
test: check
	.venv-test/bin/python -m pytest --numprocesses logical --dist loadfile

# What works without torch and without any extra, in the Python at hand.
test-base:
	$(PYTHON) -m pytest tests/curves tests/curve_files tests/images tests/inference \
		tests/rendering tests/cli tests/test_errors.py tests/test_harmonizer.py \
		tests/test_threads.py tests/test_weights.py \
		--ignore=tests/curve_files/test_curve_plots.py \
		--ignore=tests/cli/test_cli_data.py

check: .venv-test/ready
	.venv-test/bin/ruff check
	.venv-test/bin/ruff format --check
	.venv-test/bin/mypy
	.venv-test/bin/lint-imports --no-logo
	.venv-test/bin/codespell README.md CHANGELOG.md CONTRIBUTING.md docs
	.venv-test/bin/validate-pyproject pyproject.toml
	.venv-test/bin/zizmor --offline --quiet --persona=pedantic .github
	$(SCHEMA) vendor.github-workflows .github/workflows/*.yml
	$(SCHEMA) vendor.dependabot .github/dependabot.yml
	$(SCHEMA) vendor.github-issue-forms .github/ISSUE_TEMPLATE/wrong-picture.yml \
		.github/ISSUE_TEMPLATE/something-fails.yml
	$(SCHEMA) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SCHEMA) vendor.citation-file-format CITATION.cff

# Not --quiet: that hides the warnings from --strict, too.
docs: .venv-test/ready
	.venv-test/bin/typer imharmony.cli utils docs --name imharmony \
		--output docs/reference/commands.md >/dev/null
	NO_MKDOCS_2_WARNING=1 .venv-test/bin/mkdocs build --strict

# Built as a sdist, from which the wheel is built; the picture of `make demo` comes out of
# it, installed where there is nothing else.
dist: .venv-test/ready demo
	rm -rf dist/*.whl dist/*.tar.gz build/installed
	.venv-test/bin/python -m build --no-isolation
	$(PYTHON) -m venv build/installed
	build/installed/bin/python $(PIP) dist/imharmony-*.whl
	cd build/installed && bin/imharmony harmonize ../../examples/composite.png \
		../../examples/mask.png --output harmonized.png
	cmp demo/harmonized.png build/installed/harmonized.png

FULLY_COVERED := */curves/*.py,*/imharmony/errors.py,*/protocols/metrics.py,$\
	*/imharmony/writing.py

coverage: .venv-test/ready
	.venv-test/bin/coverage erase
	.venv-test/bin/coverage run -m pytest --numprocesses logical --dist loadfile
	.venv-test/bin/coverage combine --quiet
	.venv-test/bin/coverage report
	.venv-test/bin/coverage report --include='$(FULLY_COVERED)' --fail-under=100

# The page as static files, with the network in the browser. The one thing that needs Node.
page: site/node_modules/ready
	node site/build.mjs

# The container: a linter reads its file, and Docker builds it where it answers.
container: site/node_modules/ready
	site/node_modules/.bin/dockerfile-utils lint Dockerfile
	@if docker info >/dev/null 2>&1; then docker build --tag imharmony .; \
	else echo "LEFT OUT: building the container, because no Docker answers"; fi

site/node_modules/ready: site/package.json site/package-lock.json
	cd site && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

clean:
	rm -rf .venv .venv-test demo build dist site/node_modules docs/reference/commands.md

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
		--editable ".[plot,evaluate,train,labels,web,video,cluster]" --group test \
		--group lint --group docs --group build
	touch $@
