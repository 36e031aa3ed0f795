# make demo [VIDEO=clip.mp4]   a verdict out of a real tritonserver, from nothing
# make demo-page               the page for people, until Ctrl-C
# make test                    every test that needs no torch, but the image's build
SHELL := /bin/bash
VENV := .venv
EXPORT_VENV := .venv-export
PEERS_VENV := .venv-peers
PIPELINES_VENV := .venv-pipelines
DOCS_VENV := .venv-docs
BIN := $(VENV)/bin
SAMPLE := sample.mp4
DATA := ../shared/data
SECONDS := 60
# two at once; the tests of a file share its servers, and the last files are short
TWO := -n 2 --dist loadfile --no-loadscope-reorder
TELLING := tests/client tests/catalog tests/decision tests/evidence tests/calibrate tests/install tests/test_settings.py
LOCK := uv pip compile --quiet --universal --python-version 3.10 --no-annotate --no-emit-package veracity-client \
	--generate-hashes --custom-compile-command "make lock"
NO_SERVER := --excludes requirements/no-server.txt
NO_BUILDER := --excludes requirements/no-builder.txt

.PHONY: help setup models demo demo-page serve test test-wheels test-pythons test-export test-peers test-pipelines test-image fuzz starter-weights measure \
	check docs pictures lock sbom dist schema clean

help:
	@grep -hE '^# make|^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^# //; s/:.*## /  — /'

setup: ## the environment in .venv
	@scripts/bootstrap $(VENV) requirements/runtime.lock requirements/dev.lock requirements/gateway.lock requirements/bulk.lock

# Where an encoder cannot be had the rest works: the reason is said here, and by the layer in every verdict.
models: setup ## the files that are fetched, verified and turned into models
	@$(BIN)/veracity install || test -f model_repository/face_detector/1/model.onnx

demo: models ## what all four layers say of VIDEO, or of a sample made on the spot
	@test -n "$(VIDEO)" || $(BIN)/veracity sample $(SAMPLE)
	@$(BIN)/veracity analyze --policy exhaustive "$(or $(VIDEO),$(SAMPLE))"; code=$$?; test $$code -le 2  # 0 real, 1 fake, 2 inconclusive

serve: models ## the server, until Ctrl-C
	@$(BIN)/veracity serve

demo-page: models ## the page for people, with a server behind it, until Ctrl-C
	@$(BIN)/veracity gateway $(ARGS)

test: models ## tests that need no torch; but for the image's build, which takes minutes
	@$(BIN)/python -m pytest $(TWO) -m "not export and not gpu and not image and not wheel" $(ARGS)

test-wheels: models ## the wheels in fresh environments without the checkout, on every Python that is here
	@$(BIN)/python -m pytest -m wheel $(ARGS)

test-pythons: models ## a telling part of the tests on every other Python that is here
	@scripts/test_pythons -m "not export and not gpu and not image and not wheel and not slow and not triton" $(TELLING) $(ARGS)

test-peers: models ## tests of the servers that we are measured beside, in an environment of their own
	@scripts/bootstrap $(PEERS_VENV) requirements/runtime.lock requirements/dev.lock requirements/torch.txt requirements/peers.txt
	@$(PEERS_VENV)/bin/python -m pytest tests/benchmarks/test_benchmark_peers.py $(ARGS)

test-pipelines: models ## the examples of Spark and Beam, in an environment of their own: wants Java 17 or newer
	@scripts/bootstrap $(PIPELINES_VENV) requirements/runtime.lock requirements/dev.lock requirements/pipelines.txt
	@$(PIPELINES_VENV)/bin/python -m pytest tests/examples -k "spark or beam" $(ARGS)

test-image: models ## both images, built by buildah on a plain Debian: wants root, buildah, debootstrap, the network
	@$(BIN)/python -m pytest -m image $(ARGS)

test-export: models ## tests that need torch, in an environment of their own
	@scripts/bootstrap $(EXPORT_VENV) requirements/runtime.lock requirements/dev.lock requirements/gateway.lock requirements/torch.txt
	@$(EXPORT_VENV)/bin/python -m pytest -m export $(ARGS)

fuzz: setup ## our parsers under atheris, each for SECONDS, or those that ARGS names: wants Python 3.11 or newer
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements/fuzz.lock
	@$(BIN)/python tests/fuzz/fuzz.py $(SECONDS) $(ARGS)

starter-weights: models ## our networks taught, exported and calibrated anew, out of DATA
	@scripts/bootstrap $(EXPORT_VENV) requirements/runtime.lock requirements/dev.lock requirements/gateway.lock requirements/torch.txt
	@scripts/starter_weights $(DATA)

measure: models ## what README and docs cite, measured on DATA and brought into them, on a quiet machine
	@scripts/measure $(DATA)

check: setup ## what CI checks before any test: style, types, imports, Dockerfile, spelling, generated files, known holes
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > /dev/null || $(BIN)/lint-imports --no-cache
	@$(BIN)/hadolint Dockerfile.triton Dockerfile.gateway
	@$(BIN)/codespell $$(git ls-files '*.py' '*.md' '*.toml' '*.pbtxt' Makefile)
	@$(BIN)/python -m benchmarks figures --check
	@$(BIN)/python -m export configs --check
	@$(BIN)/python scripts/chart_values.py --check
	@$(BIN)/python scripts/audit.py

docs: ## the documentation's pages in site/, every link checked
	@scripts/bootstrap $(DOCS_VENV) requirements/docs.lock
	@NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict --quiet

pictures: models ## the pictures of docs/page.md, on a walk through the page in Chromium
	@PICTURES=$(CURDIR)/docs/images/page $(BIN)/python -m pytest -q tests/gateway/test_gateway_page_walk.py

lock: ## pin the dependencies anew (needs uv)
	$(LOCK) --extra hubs --extra measure --extra signing --extra telemetry pyproject.toml -o requirements/runtime.lock
	$(LOCK) -c requirements/runtime.lock $(NO_SERVER) $(NO_BUILDER) --extra signing pyproject.toml -o requirements/image.lock
	$(LOCK) -c requirements/runtime.lock $(NO_SERVER) --extra hubs pyproject.toml -o requirements/export.lock
	$(LOCK) -c requirements/runtime.lock --group dev -o requirements/dev.lock
	$(LOCK) -c requirements/runtime.lock -c requirements/dev.lock gateway/pyproject.toml -o requirements/gateway.lock
	$(LOCK) -c requirements/runtime.lock -c requirements/dev.lock -c requirements/gateway.lock bulk/pyproject.toml -o requirements/bulk.lock
	$(LOCK) --group docs -o requirements/docs.lock
	$(LOCK) -c requirements/runtime.lock -c requirements/dev.lock --group build -o requirements/build.lock
	$(LOCK) --no-deps --group fuzz -o requirements/fuzz.lock

sbom: setup ## bills of materials (CycloneDX) of the default profile: with pip's packages, and with the image's, in dist/
	@$(BIN)/python scripts/sbom.py requirements/runtime.lock dist/veracity.cdx.json
	@$(BIN)/python scripts/sbom.py requirements/image.lock dist/veracity-image.cdx.json; ls dist/*.cdx.json

dist: setup ## all wheels and source distributions, in dist/
	@rm -rf dist
	@for project in client gateway bulk .; do $(BIN)/python -m build --no-isolation --outdir dist $$project >/dev/null || exit 1; done; ls dist

schema: setup ## the verdict's JSON Schema, from the dataclasses, the gateway's OpenAPI document, the chart's values
	@$(BIN)/python -m veracity_client.schema > docs/api/verdict.schema.json
	@$(BIN)/python -m veracity_client.schema reasons > docs/api/reasons.md
	@$(BIN)/python -m veracity_gateway.document > docs/api/gateway.openapi.json
	@$(BIN)/python scripts/chart_values.py

clean:
	rm -rf $(VENV) .venv-3.* $(EXPORT_VENV) $(PEERS_VENV) $(PIPELINES_VENV) $(DOCS_VENV) dist site $(SAMPLE)
