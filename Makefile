# What a person and the CI run are the same targets; `make` alone lists them.
# A fresh machine needs make, Python 3.11 or newer with pip, and nothing else: uv comes from pip into
# .tools/, and uv makes .venv/ from uv.lock. `make up` without SOURCE leaves nothing behind; setup
# writes nothing outside this folder but uv's cache.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup up test test-long check bench clean

UV_VERSION := 0.13.9
UV := .tools/uv-$(UV_VERSION)/bin/uv
BIN := .venv/bin
READY := .venv/.ready
FOREIGN := .venv/.foreign
PYTEST_ARGS ?=
BENCH_ARGS ?=

# The first interpreter that is new enough; PYTHON=... on the command line is asked first.
define choose_python
python=; \
for candidate in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
    python=$$(command -v "$$candidate"); break; \
  fi; \
done; \
if [ -z "$$python" ]; then \
  echo "strongroom needs Python 3.11 or newer, and no such python3 was found." >&2; \
  echo "Install one (Debian 12, Ubuntu 24.04: apt-get install python3 python3-pip), or name it:" >&2; \
  echo "make setup PYTHON=/where/it/is/python3" >&2; \
  exit 1; \
fi
endef

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## Make .venv as uv.lock says (implied by all below; quick when nothing changed)

$(UV):
	@$(choose_python); \
	if ! "$$python" -m pip --version >/dev/null 2>&1; then \
	  echo "$$python has no pip, and setup takes uv from pip." >&2; \
	  echo "Install it (Debian, Ubuntu: apt-get install python3-pip) and run this again." >&2; \
	  exit 1; \
	fi; \
	echo "setup: uv $(UV_VERSION)"; \
	rm -rf .tools/uv-$(UV_VERSION); \
	"$$python" -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
	  --no-cache-dir --root-user-action=ignore --no-deps \
	  --target .tools/uv-$(UV_VERSION) uv==$(UV_VERSION)

# A cache that cannot be written (a read-only or absent HOME) is replaced by one in .tools/. The
# machine's own certificates are trusted where it has some, as pip does: a company's proxy works.
define sync
cache=$${UV_CACHE_DIR:-$${XDG_CACHE_HOME:-$${HOME:-$(CURDIR)/.tools}/.cache}/uv}; \
{ mkdir -p "$$cache" && [ -w "$$cache" ]; } 2>/dev/null || cache=$(CURDIR)/.tools/uv-cache; \
echo "setup: .venv with $$("$$python" --version)"; \
if [ -s /etc/ssl/certs/ca-certificates.crt ]; then export UV_SYSTEM_CERTS=true; fi; \
unset VIRTUAL_ENV; \
mkdir -p .tools/tmp; \
TMPDIR="$(CURDIR)/.tools/tmp" UV_CACHE_DIR="$$cache" UV_PROJECT_ENVIRONMENT=.venv \
  UV_PYTHON_DOWNLOADS=never $(UV) sync --frozen --quiet $$groups --python "$$python"
endef

$(READY): pyproject.toml uv.lock $(UV)
	@$(choose_python); groups="--all-groups --no-group foreign"; $(sync)
	@touch $@

# The verifiers of others are for tests alone, and Go is among them: no start waits for 75 MB. With
# the environment's own Python uv adds to it; with another name of the same one it makes it anew.
$(FOREIGN): $(READY)
	@python=$(BIN)/python; groups=--all-groups; $(sync)
	@touch $@

# The demo's homes, locations, key files and spool lie in one temporary folder, which goes when the
# shell ends, however it ends. HOME is neither read nor written.
up: $(READY) ## Back up, restore, lose and recover demo data; SOURCE=<path or url>: your own
ifdef SOURCE
	@$(BIN)/strongroom --home ./strongroom-home up --source "$$SOURCE" \
	  $(if $(SEPARATE),--separate,--once)
else
	@demo=$$(mktemp -d) && trap 'rm -rf "$$demo"' EXIT && trap 'exit 1' HUP INT TERM && \
	TMPDIR="$$demo" XDG_RUNTIME_DIR= $(BIN)/strongroom --home "$$demo/home" up --demo --once
endif

# Three at once, because a test that waits for the disk leaves its core to another.
test: $(FOREIGN) ## Run the tests (ten to fifteen minutes on two cores)
	@$(BIN)/python -m pytest -n 3 -m "not long" $(PYTEST_ARGS)

test-long: $(FOREIGN) ## Run every test, with many more random examples
	@$(BIN)/python -m pytest -n 2 -m "long or not long" --hypothesis-profile=long \
	  --dist worksteal --timeout=3600 $(PYTEST_ARGS)

check: $(READY) ## Style, types, import contracts, size caps, docs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest tests/house

bench: $(READY) ## Measure against restic and BorgBackup where they are installed
	@$(BIN)/python bench/run.py $(BENCH_ARGS)

clean: ## Remove what setup and the tools made (never ./strongroom-home)
	@rm -rf .venv .tools .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	@rm -rf .coverage dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
