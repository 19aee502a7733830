# `make report` and `make test` are all that a fresh machine needs; Python 3.11+, git and make are there.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    := reports/out

# Bytecode is kept, whatever a shell says: without it each worker and each command compiles everything again.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest
# Tests that wait for servers leave a core idle: more workers than cores. What waits longest comes first (tests/conftest.py).
SPREAD := -n 4 --dist loadscope --no-loadscope-reorder

.PHONY: report test quick lowest slow long live check coverage contract fuzz mutants bench docs format servers exporters audit clean

# The main job with no server anywhere: definitions, a simulated recording, rules and report.
report: $(OUT)/recording.parquet
	@$(BIN)/slo rules definitions -o $(OUT)/rules.yml & rules=$$!; \
	  $(BIN)/slo report definitions --source $(OUT)/recording.parquet --events $(OUT)/events.yaml -o $(OUT) && wait $$rules

$(OUT)/recording.parquet: $(VENV)/.installed $(wildcard definitions/*.yaml) reports/demo.yaml
	@mkdir -p $(OUT)
	@$(BIN)/slo simulate definitions --days 40 --seed 1 --scenario reports/demo.yaml --events $(OUT)/events.yaml -o $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,check]'
	@touch $@ $(VENV)/.installed

test: $(VENV)/.installed-test
	$(PYTEST) $(SPREAD) --ignore tests/bench --ignore tests/browser

# How many lines and branches of slo/ the same tests reach, commands in processes of their own among it; below fail_under
# of pyproject.toml it fails, and where what figures are made of is below it by itself.
coverage: $(VENV)/.installed-test
	@rm -rf build/coverage && mkdir -p build/coverage
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m coverage run -m pytest -q $(SPREAD) --ignore tests/bench --ignore tests/browser
	@$(BIN)/python -m coverage combine --quiet
	@for part in 'slo/budget/*' 'slo/sli/*' 'slo/reading/*' slo/window.py; do \
	  printf '%s ' "$$part" && $(BIN)/python -m coverage report --format=total --include "$$part" || exit 1; done
	@$(BIN)/python -m coverage report

# After each change, under 30 s: style, layout, docs, definitions, commands, figures.
quick: $(VENV)/.installed-test
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	@$(PYTEST) -q -n 2 tests/test_layout.py tests/test_repository.py tests/test_docs.py tests/test_display.py \
	  tests/test_window.py tests/spec tests/promql/test_engine.py tests/sli/test_bounds.py tests/budget/test_figures.py \
	  -k "not readmes and not unfold and not gotemplate and not any_text and not test_hostile"

# The oldest versions that pyproject.toml accepts, in an environment of their own.
lowest:
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python tests/lowest.py > $(VENV)-lowest/lowest.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check -r $(VENV)-lowest/lowest.txt --editable . \
	  pytest hypothesis jsonschema
	$(VENV)-lowest/bin/python -m pytest -q tests/cli tests/spec tests/source/test_recording.py tests/budget tests/report \
	  -m "not server" -p no:cacheprovider -o addopts=

# `make slow KILLS=100` kills as often as that.
KILLS ?= 30
# What takes minutes: rules of every interval on a live server under load, the five systems end to end, the pages in a
# real browser, the notebooks on a server, the rules' own tests of all definitions, runs that are
# killed, answers of gigabytes for each command, and odd values behind each option.
slow: $(VENV)/.installed-test
	SLO_SLOW=1 SLO_LIVE_SECONDS=330 $(PYTEST) $(SPREAD) -n 3 tests/cli tests/e2e \
	  tests/systems tests/rules/test_live_vmalert.py tests/rules/test_detection.py tests/browser tests/test_notebooks.py tests/contract/test_second.py \
	  tests/test_walkthrough.py tests/budget/test_recorded_live.py tests/test_jobs.py tests/report/test_folder.py tests/rules/test_by.py tests/rules/test_servers.py \
	  tests/backfill/test_backfill.py tests/promql/test_limits.py tests/spec/test_hostile.py tests/spec/test_gotemplate.py \
	  tests/source/test_counted.py tests/source/test_simulation_complete.py tests/rules/test_texts.py \
	  -k "own_tests or live or jobs or systems or browser or on_a_server or the_rules or gigabytes or any_shape or same_moments or walk \
	  or month or prove or made_for_them or left_out_of_the_tests or recorded_already or below_two_gigabytes \
	  or never_ends or as_markdown or damaged or megabytes or promtool_refuses or on_one_metric_all or texts_are_those or is_the_same_too"
	SLO_HISTORIES=3000 SLO_CHECKED=3800 SLO_SERVED=24 SLO_DIFFERENTIAL=6000 $(PYTEST) -n 3 tests/contract/test_contract.py \
	  tests/rules/test_checked.py tests/promql/test_differential.py \
	  -k "drawn or prometheus or promtool or checked or victoria or random_expressions"
	SLO_SLOW=1 $(PYTEST) -n 3 tests/fuzz -k "every_option or secrets"
	SLO_SLOW=1 $(PYTEST) -n 3 tests/convert/test_alike.py tests/convert/test_mutations.py tests/sli/test_sums.py
	SLO_SLOW=1 $(PYTEST) tests/presets/test_exporters.py tests/weekly/test_workflow.py tests/ledger -k 'cluster or exporter or workflow or object'
	SLO_SLOW=1 SLO_KILLS=$(KILLS) SLO_SEED=$(SEED) $(PYTEST) -n 3 --dist loadscope tests/crash tests/weekly/test_job.py \
	  -k "crash or killed_at"

# What the docs say of Prometheus 2.42 and 3.5 and of VictoriaMetrics, on these servers: a month of hostile history, pages of
# forty fleets, when alerts fire, and servers that were down. Half an hour.
long: $(VENV)/.installed-test
	SLO_SLOW=1 SLO_LONG=1 $(BIN)/python -m pytest -n 2 --dist loadscope tests/contract/test_second.py tests/rules/test_fleets_served.py \
	  tests/rules/test_detection.py tests/rules/test_interrupted.py -k "the_rules or on_a_server"

# Many SLOs live on vmalert and on Prometheus, every event of which must be counted: as many, and for as long, as is said.
SLOS ?= 200
SECONDS ?= 1800
live: $(VENV)/.installed-test
	SLO_LIVE_SLOS=$(SLOS) SLO_LIVE_SECONDS=$(SECONDS) $(BIN)/python -m pytest -s tests/rules/test_load.py

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.words
	$(BIN)/mypy

# The contract of counting on more drawn histories than CI has time for, by every path; a run that was stopped goes on where
# it was: make contract HISTORIES=100000 SEED=7, and on four machines PART=1/4 to PART=4/4.
HISTORIES ?= 20000
SEED ?= 0
PART ?= 1/1
contract: $(VENV)/.installed-test
	$(BIN)/python -m tests.contract.many --histories $(HISTORIES) --seed $(SEED) --part $(PART)
# Every reader on broken inputs, INPUTS of each kind; a minute as it is, hours with INPUTS=20000, the same again with SEED=7.
INPUTS ?= 300
fuzz: $(VENV)/.installed-test
	CI= SLO_FUZZ=$(INPUTS) $(BIN)/python -m pytest -n 2 tests/fuzz $(if $(filter-out 0,$(SEED)),--hypothesis-seed=$(SEED))
# Whether a test fails where a line is wrong: SAMPLE places of what counts are changed, one at a time. Some minutes.
SAMPLE ?= 200
mutants: $(VENV)/.installed-test
	$(BIN)/python -m tests.mutants --sample $(SAMPLE) --seed $(SEED) --jobs 2

bench: $(VENV)/.installed-test
	$(BIN)/python -m pytest tests/bench -n 0 --benchmark-enable --benchmark-only --benchmark-columns=min,median,rounds

# What the docs show of programs that run: the notebooks, and a page on each of the five systems.
docs: $(VENV)/.installed-test
	$(BIN)/python -m tests.notebooks
	$(BIN)/python -m tests.systems.tutorials

$(VENV)/.installed-docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@ $(VENV)/.installed

# The documentation as a site, in build/site: `python -m http.server -d build/site` shows it. A warning is an error.
site: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# Known vulnerabilities of what a user installs, as SERVICE knows them (pypi or osv), and a bill of materials of it
# (CycloneDX): build/sbom.json. Where the service cannot be asked, it fails.
SERVICE ?= pypi
audit:
	$(PYTHON) -m venv --clear --upgrade-deps $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	$(PYTHON) -m venv $(VENV)-audit-tools
	$(VENV)-audit-tools/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.7' 'cyclonedx-bom>=5'
	@mkdir -p build && rm -f build/audit.json
	$(VENV)-audit-tools/bin/cyclonedx-py environment $(VENV)-audit/bin/python --pyproject pyproject.toml --mc-type application \
	  --output-reproducible --of JSON -o build/sbom.json
	$(VENV)-audit-tools/bin/python -m tests.sbom build/sbom.json
	-$(VENV)-audit-tools/bin/pip-audit --vulnerability-service $(SERVICE) --progress-spinner off --skip-editable --format json -o build/audit.json \
	  --path $$($(VENV)-audit/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	$(VENV)-audit-tools/bin/python -m tests.audited build/audit.json

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The real servers that the tests run alongside ours (Debian packages, unpacked into a cache).
servers:
	tests/servers/fetch
# The exporters that presets are tried on, in `make slow`.
exporters:
	tests/servers/exporters

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-audit $(VENV)-audit-tools $(OUT) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
